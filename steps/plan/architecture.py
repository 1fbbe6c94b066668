"""The sizes of a model without its weights: from the configuration alone."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import hf_hub_download
from transformers import AutoConfig, LlamaConfig, PreTrainedConfig

from steps.config.schema import (
    Backbone,
    HubBackbone,
    LocalBackbone,
    SmolLM2Backbone,
    TinyBackbone,
    model_folder,
)
from steps.download.hub_errors import hub_errors
from steps.download.tiny import build_tokenizer, tiny_config
from steps.errors import UserError


@dataclass(frozen=True)
class Shape:
    """The widths of a decoder.

    Attributes:
        hidden: D, of the residual stream.
        intermediate: I, inside the feed-forward part.
        attention: of all query heads together.
        key_value: of all key heads together; the same for values.
        vocabulary: V, rows of the LM head.
    """

    hidden: int
    intermediate: int
    attention: int
    key_value: int
    layers: int
    vocabulary: int


def shape_of(config: PreTrainedConfig) -> Shape:
    """Return the widths that a configuration declares."""
    heads = config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    return Shape(
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        attention=heads * head,
        key_value=(getattr(config, "num_key_value_heads", None) or heads) * head,
        layers=config.num_hidden_layers,
        vocabulary=config.vocab_size,
    )


def read_config(model: Backbone) -> PreTrainedConfig:
    """Return the configuration of a model whose weights need not be here.

    Raises:
        UserError: it is not here and cannot be fetched, or cannot be read.
    """
    folder = model_folder(model)
    if (folder / "config.json").is_file():
        return _read(folder, str(folder))
    match model:
        case TinyBackbone():
            return tiny_config(model, build_tokenizer())
        case SmolLM2Backbone():
            return _smollm2()
        case LocalBackbone():
            raise UserError(
                f"the size of {folder} is not known here: it has no config.json; give a folder in "
                "the Hugging Face layout"
            )
        case HubBackbone():
            return _fetch(model)


def _fetch(model: HubBackbone) -> PreTrainedConfig:
    """Fetch the configuration, and nothing else, at the pinned revision."""
    with TemporaryDirectory() as folder:
        try:
            what = f"its config.json (revision {model.revision or 'main'})"
            with hub_errors(what, "download it and give its folder, `{source: local, path: ...}`"):
                hf_hub_download(model.id, "config.json", revision=model.revision, local_dir=folder)
        except UserError as error:
            raise UserError(f"the size of {model.id} is not known here: {error}") from None
        return _read(Path(folder), model.id)


def _read(folder: Path, name: str) -> PreTrainedConfig:
    try:
        return AutoConfig.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:
        # A damaged file raises whatever the library's parser happens to.
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"the size of {name} is not known here: its config.json cannot be read ({reason}); "
            "fetch the model again"
        ) from None


def _smollm2() -> PreTrainedConfig:
    """Return what the download step finds in the pinned file of SmolLM2-135M-Instruct."""
    return LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=SmolLM2Backbone.layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
        dtype="float32",
    )
