"""Small random models of the architectures that the shipped experiments name."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, GemmaConfig, LlamaConfig, Qwen2Config

from steps.config.schema import Backbone, HubBackbone
from tests.test_chat import make

# Architecture, and the family of the chat template in `tests.test_chat`.
FAMILIES = {
    "google/gemma-2b-it": (GemmaConfig, "gemma"),
    "meta-llama/Meta-Llama-3-8B-Instruct": (LlamaConfig, "llama3"),
    "Qwen/Qwen2.5-1.5B-Instruct": (Qwen2Config, "qwen2.5"),
    "Qwen/Qwen2.5-7B-Instruct": (Qwen2Config, "qwen2.5"),
    "smollm2": (LlamaConfig, "smollm2"),
    "tiny": (LlamaConfig, "smollm2"),
}
SIZES = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 5,  # one more than any shipped experiment trains
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "initializer_range": 0.15,  # with 0.3 they turn rounding into errors of 1e-5
}


def stand_in(model: Backbone, folder: Path, seed: int = 0) -> Path:
    """Write a model of the same architecture class and chat template as ``model`` to ``folder``."""
    name = model.id if isinstance(model, HubBackbone) else model.source
    architecture, family = FAMILIES[name]
    tokenizer = make(family, adds_bos=family in ("gemma", "llama3"))
    torch.manual_seed(seed)
    tied = architecture is GemmaConfig or name in ("Qwen/Qwen2.5-1.5B-Instruct", "smollm2")
    config = architecture(**SIZES, vocab_size=len(tokenizer), tie_word_embeddings=tied)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
