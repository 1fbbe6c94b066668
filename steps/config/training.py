"""How reward models are trained: the section ``training`` and those of the loss terms."""

from typing import Literal

from pydantic import Field, model_validator

from steps.config.lora import Lora
from steps.config.section import Section
from steps.errors import UserError


class Training(Section):
    """Reward-model training."""

    # `upper_layers`: the upper `trained_layers` and the head, on cached hidden states of the frozen
    # lower ones. `lora`: adapters in all layers. `full`: every weight.
    mode: Literal["upper_layers", "lora", "full"] = "upper_layers"
    trained_layers: int | None = Field(None, ge=1)
    lora: Lora | None = None
    labels: Literal["pairwise", "pointwise"] = "pairwise"
    # `mlp`: one hidden layer of 1024 ReLU with dropout 0.1 (GRM), which no standard class loads.
    reward_head: Literal["linear", "mlp"] = "linear"
    # `packed`: each prompt once, no padding. `padded`: one row per response.
    layout: Literal["packed", "padded"] = "packed"
    epochs: int = Field(ge=1)
    groups_per_step: int = Field(ge=1)  # prompt groups per optimiser step, over all processes
    tokens_per_batch: int = Field(4096, gt=0)  # of a micro-batch; a longer group stands alone
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    warmup_share: float = Field(0.03, ge=0, lt=1)
    max_gradient_norm: float = Field(1.0, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16 on GPUs only; a CPU computes in fp32
    gradient_checkpointing: bool = False
    checkpoint_steps: int = Field(200, ge=1)  # optimiser steps between two checkpoints
    # `copy`: an untied copy of the backbone's LM head, trained at `lm_head_learning_rate` (the
    # release). `tied`: the backbone's own head. Above frozen layers it is frozen too, being the
    # embedding below them, which saves a third of the LM term's arithmetic.
    lm_head: Literal["copy", "tied"] = "copy"
    lm_head_learning_rate: float = Field(1e-5, gt=0)
    lm_gradient_scale: float = Field(1e-3, ge=0)  # of the LM term's gradient into the backbone

    @model_validator(mode="after")
    def _consistent(self) -> "Training":
        if (self.mode == "upper_layers") != (self.trained_layers is not None):
            raise ValueError("`trained_layers` is given with `mode: upper_layers`, and only there")
        if self.lora is not None and self.mode != "lora":
            raise ValueError("`lora` is given with `mode: lora` only")
        if self.mode == "upper_layers" and self.layout == "padded":
            raise ValueError("`layout: padded` cannot read cached hidden states, which are packed")
        return self

    def check_fsdp(self) -> None:
        """Refuse to shard what this mode trains.

        Raises:
            UserError: layers are frozen.
        """
        if self.mode == "upper_layers":
            raise UserError(
                "training.mode is upper_layers, whose layers are not sharded; train with lora or "
                "full, or leave --fsdp out (fsdp in slurm/cluster.yaml)"
            )


class Consistency(Section):
    """The intra-trajectory consistency regulariser."""

    weight: float = Field(0.1, ge=0, lt=1)  # a of L = (1 - a) L_BT + a L_IC + L_SFT
    # The mean reward that a prefix is compared with runs over the opposite response, or (the
    # release) over its whole padded row, prompt and padding included.
    reference_mean: Literal["response", "padded_row"] = "response"
    normaliser: Literal["ema", "none"] = "ema"
    normaliser_decay: float = Field(0.95, ge=0, lt=1)
    # `step`: from sums over whole optimiser steps. `micro_batch`: from each micro-batch before it
    # is used, on each process by itself (the release).
    normaliser_update: Literal["step", "micro_batch"] = "step"


class BradleyTerry(Section):
    """Variants of the pairwise loss."""

    label_smoothing: float = Field(0.1, ge=0, lt=0.5)  # of `orm_label_smooth`
    margin_scale: float = Field(1.0, gt=0)  # of the rating margin in `orm_margin`


class Grm(Section):
    """The regulariser of the Generalizable Reward Model (arXiv 2406.10216)."""

    weight: float = Field(0.01, ge=0, le=1)  # w of (1 - w) L_BT + w L_reg
    beta: float = Field(0.1, gt=0)
    form: Literal["sft", "sft_no_sigmoid", "dpo", "dpo_reference_free"] = "sft"
    lm_gradient_scale: float = Field(1.0, ge=0)  # in the place of the training section's


class Ensemble(Section):
    """How the rewards of the ORMs of all seeds become those of `orm_ensemble`."""

    reduce: Literal["mean", "min", "mean_minus_std"] = "mean"
