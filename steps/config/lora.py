"""Low-rank adapters, for reward models, generators and policies."""

from typing import Literal

from pydantic import Field, field_validator

from steps.config.section import Section


class Lora(Section):
    """Low-rank adapters (arXiv 2106.09685) by peft; a reward head is trained beside them."""

    r: int = Field(32, ge=1)
    alpha: int = Field(64, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: Literal["all-linear"] | list[str] = "all-linear"  # names of modules

    @field_validator("targets")
    @classmethod
    def _name_one(cls, targets: str | list[str]) -> str | list[str]:
        if not targets:
            raise ValueError("the list is empty; name a linear layer or write all-linear")
        return targets
