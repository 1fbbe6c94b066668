"""The sections ``generator`` and ``cache``: what computes token probabilities, and their store."""

from typing import Literal

from pydantic import Field

from steps.config.backbones import Backbone
from steps.config.lora import Lora
from steps.config.section import Section


class FineTuning(Section):
    """Language-model training of the generator on the training responses, before it is frozen."""

    every: int = Field(1, ge=1)  # of the training groups with a pair; 10 is a tenth of them
    epochs: int = Field(1, ge=1)
    groups_per_step: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    warmup_share: float = Field(0.03, ge=0, lt=1)
    max_gradient_norm: float = Field(1.0, gt=0)
    tokens_per_batch: int = Field(4096, gt=0)
    lora: Lora | None = Lora()  # null: all weights
    # `copy`: an untied copy of the LM head is trained at a rate of its own (the release).
    lm_head: Literal["copy", "tied"] = "tied"
    lm_head_learning_rate: float = Field(1e-5, gt=0)
    # By what the summed loss of a rejected response is divided: its own length, or (a slip of the
    # release) the chosen one's.
    rejected_length: Literal["own", "chosen"] = "own"
    precision: Literal["fp32", "bf16"] = "fp32"
    gradient_checkpointing: bool = False
    checkpoint_steps: int = Field(200, ge=1)
    seed: int = 0


class Generator(Section):
    """The language model whose token probabilities weight the consistency term."""

    model: Backbone | None = None  # null: the backbone itself
    fine_tuning: FineTuning | None = None  # null: as it is
    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)
    entropy: bool = False  # store the entropy of every next-token distribution too


class Cache(Section):
    """The store of token probabilities and of the frozen lower layers' hidden states."""

    tokens_per_batch: int = Field(4096, gt=0)
    verify_groups: int = Field(2, ge=0)  # groups that are recomputed after writing
    precision: Literal["fp32", "bf16"] = "fp32"  # of the pass; bf16 on GPUs only
