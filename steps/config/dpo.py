"""What an experiment file may say about training policies and about judging them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from steps.config.backbones import HubModel, Limited
from steps.config.lora import Lora
from steps.config.section import Commit, Name, Section
from steps.errors import UserError


class Dpo(Section):
    """Direct preference optimisation (arXiv 2305.18290) on the pairs that a reward model chose.

    The defaults are the release's settings where it has any, but for `precision`: it is bf16 there.
    """

    beta: float = Field(0.1, gt=0)
    lora: Lora | None = Lora()  # null: all weights
    epochs: int = Field(2, ge=1)
    pairs_per_step: int = Field(12, ge=1)  # of an optimiser step, over all processes
    pairs_per_batch: int = Field(1, ge=1)  # of a micro-batch; must divide `pairs_per_step`
    tokens_per_batch: int = Field(4096, gt=0)  # of the reference's pass, padding included
    max_tokens: int = Field(2048, ge=8)  # prompt and response; pairs with a longer one are dropped
    learning_rate: float = Field(5e-6, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    warmup_share: float = Field(0.03, ge=0, lt=1)
    max_gradient_norm: float = Field(1.0, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16 on GPUs only; a CPU computes in fp32
    gradient_checkpointing: bool = False
    checkpoint_steps: int = Field(200, ge=1)  # optimiser steps between two checkpoints

    @model_validator(mode="after")
    def _consistent(self) -> "Dpo":
        if self.pairs_per_step % self.pairs_per_batch:
            raise ValueError("`pairs_per_step` must be a multiple of `pairs_per_batch`")
        if self.lora is not None and self.lora.dropout > 0:
            # The reference's probabilities are computed without it; the first loss is log 2.
            raise ValueError("`lora.dropout` must be 0: policies are trained without dropout")
        return self


# The judge of every experiment: whether the final answer equals the reference answer.
EXACT = "exact"


class TrainedJudge(Section):
    """A reward model of this experiment's kind, trained on an evaluation set's labels.

    No candidate has seen its prompts, and its seed is none of theirs.
    """

    source: Literal["trained"]
    method: str = "orm"
    seed: int = Field(ge=0, lt=2**32)
    train_on: str  # an evaluation set that is not the one the policies answer


class HubJudge(HubModel, Limited):
    """A reward model of the Hugging Face hub."""

    revision: Commit | None = None  # null: nothing runs until it is set, a dry run does
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16 on GPUs only; a CPU computes in fp32

    def check_pinned(self, key: str) -> None:
        """Check that the commit is set.

        Args:
            key: of the judge in the experiment file.
        """
        if self.revision is None:
            raise UserError(
                f"{key}.revision is not set; give the full hash of the commit of {self.id} that "
                "you have looked at"
            )


Judge = Annotated[TrainedJudge | HubJudge, Field(discriminator="source")]


class PolicyEvaluation(Section):
    """How policies are compared with each other and with the policy that they started from."""

    judges: dict[Name, Judge] = Field({})
    tokens_per_batch: int = Field(4096, gt=0)  # of the judges' and the reference's passes

    @property
    def hub_judges(self) -> dict[str, HubJudge]:
        """The judges that the download step fetches from the hub."""
        return {name: j for name, j in self.judges.items() if isinstance(j, HubJudge)}
