"""What a cache's content depends on, and the hash of it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import transformers

from steps.backbone import weights_hash
from steps.chat import ChatFormat
from steps.config.schema import Experiment
from steps.device import best_device, working_dtype
from steps.onednn import is_faster

# What people call a part whose name does not say it.
PART_NAMES = {"chat_format": "tokenizer or chat template", "onednn": "library (oneDNN)"}


@dataclass(frozen=True)
class CacheKey:
    """Everything besides the text that a cached value depends on."""

    weights: str  # of the generator
    chat_format: str  # tokenizer and chat template of the backbone
    temperature: float
    top_p: float
    entropy: bool
    layer: int | None  # hidden states are the input of this layer; None: none are stored
    hidden_weights: str | None  # of the backbone, whose hidden states they are
    dtype: str
    threads: int  # the order of additions, and so the last bits
    onednn: bool  # whether it multiplies matrices; the same holds
    torch: str
    transformers: str

    def digest(self) -> str:
        """Return the hash of the key."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def cache_key(
    experiment: Experiment,
    backbone: Path,
    chat: ChatFormat,
    layer: int | None,
    generator: Path | None = None,
) -> CacheKey:
    """Return the key of an experiment's cache.

    Args:
        generator: its folder where it is not the backbone.
    """
    settings = experiment.generator
    return CacheKey(
        weights=weights_hash(generator or backbone),
        chat_format=chat.fingerprint(),
        temperature=settings.temperature,
        top_p=settings.top_p,
        entropy=settings.entropy,
        layer=layer,
        hidden_weights=None if layer is None else weights_hash(backbone),
        dtype=str(working_dtype(experiment.cache.precision)).removeprefix("torch."),
        threads=experiment.threads,
        onednn=best_device().type == "cpu" and is_faster(),
        torch=torch.__version__,
        transformers=transformers.__version__,
    )


def text_key(chat_format: str, prompt: str, response: str) -> str:
    """Return the hash under which one response's values are stored, 32 hex digits.

    Args:
        chat_format: `ChatFormat.fingerprint` of the tokenizer and template that encode the text.
    """
    content = json.dumps([chat_format, prompt, response], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:32]
