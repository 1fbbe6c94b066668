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


@dataclass(frozen=True)
class CacheKey:
    """Everything besides the text that a cached value depends on."""

    weights: str
    chat_format: str  # tokenizer and chat template
    temperature: float
    top_p: float
    entropy: bool
    layer: int  # the hidden states are the input of this decoder layer
    dtype: str
    threads: int  # the order of additions, and so the last bits
    torch: str
    transformers: str

    def digest(self) -> str:
        """Return the hash of the key."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def cache_key(experiment: Experiment, backbone: Path, chat: ChatFormat, layer: int) -> CacheKey:
    """Return the key of an experiment's cache."""
    generator = experiment.generator
    return CacheKey(
        weights=weights_hash(backbone),
        chat_format=chat.fingerprint(),
        temperature=generator.temperature,
        top_p=generator.top_p,
        entropy=generator.entropy,
        layer=layer,
        dtype="float32",
        threads=experiment.threads,
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
