"""Small reward models as others publish them: several classes, templates and padding tokens."""

from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BloomConfig,
    BloomForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    Qwen3Config,
    Qwen3ForSequenceClassification,
)

from tests.stand_ins import SIZES
from tests.test_chat import make

# Class, configuration, family of the chat template in `tests.test_chat`, padding token: that of the
# tokenizer (the end-of-turn token), one of its own, or none.
KINDS = {
    "llama": (LlamaForSequenceClassification, LlamaConfig, "llama3", "end"),
    "newline": (Qwen2ForSequenceClassification, Qwen2Config, "qwen2.5", "own"),
    "unpadded": (Qwen2ForSequenceClassification, Qwen2Config, "qwen2.5", None),
    "padded": (Qwen3ForSequenceClassification, Qwen3Config, "qwen2.5", "own"),
    "padded_without": (Qwen3ForSequenceClassification, Qwen3Config, "qwen2.5", None),
    "encoder": (BertForSequenceClassification, BertConfig, "gemma", "own"),
    "one_by_one": (GPT2ForSequenceClassification, GPT2Config, "smollm2", None),
}
# Does not tell how many tokens it takes.
BLOOM = (BloomForSequenceClassification, BloomConfig, "qwen2.5", "own")


def write_reward_model(kind: str, folder: Path, **settings) -> Path:
    """Write a random model: ``bloom`` or one of `KINDS`; ``settings`` change its configuration."""
    model_class, config_class, family, padding = (KINDS | {"bloom": BLOOM})[kind]
    tokenizer = make(family, adds_bos=family in ("gemma", "llama3"))
    tokenizer.pad_token = {"end": tokenizer.eos_token, "own": "<unused>", None: None}[padding]
    defaults = SIZES | {"num_hidden_layers": 2, "num_labels": 1, "initializer_range": 0.5}
    if model_class is GPT2ForSequenceClassification:
        defaults = {"n_embd": 16, "n_head": 2, "n_layer": 2, "num_labels": 1}
        defaults["initializer_range"] = 0.5
    if model_class is BloomForSequenceClassification:
        defaults = {"hidden_size": 16, "n_head": 2, "n_layer": 2, "num_labels": 1}
        defaults["initializer_range"] = 0.5
    defaults["pad_token_id"] = tokenizer.pad_token_id
    torch.manual_seed(0)
    config = config_class(vocab_size=len(tokenizer), **(defaults | settings))
    model: PreTrainedModel = model_class(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
