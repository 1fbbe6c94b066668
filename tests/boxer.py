"""A language model that answers every prompt with a boxed digit, without training."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from steps.config.schema import TinyBackbone
from steps.download.tiny import build_tokenizer, tiny_config


def write_boxer(folder: Path, digits: str) -> Path:
    r"""Write a model that answers ``\boxed{d}``, each d of ``digits`` with the same probability.

    The next token depends on the last one alone: the layers add nothing to the embeddings, which
    are one-hot, so column t of the LM head has the logits after token t.
    """
    tokenizer = build_tokenizer()
    size = len(tokenizer)
    config = tiny_config(TinyBackbone(source="tiny"), tokenizer)
    config.update({"hidden_size": size, "tie_word_embeddings": False})
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        model.lm_head.weight.zero_()
        for last, following in _chain(tokenizer, digits):
            # Times the factor of the norm, the root of the size: a logit of 32 beside zeros.
            model.lm_head.weight[following, last] = 2.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _chain(tokenizer: PreTrainedTokenizerBase, digits: str) -> Iterator[tuple[int, list[int]]]:
    """Yield each token of such an answer with those that may follow it."""
    head = ["<|assistant|>", *r"\boxed{"]
    follows = {last: [following] for last, following in pairwise(head)}
    follows |= {"{": list(digits), "}": ["<|end|>"]} | {digit: ["}"] for digit in digits}
    for last, following in follows.items():
        yield tokenizer.convert_tokens_to_ids(last), tokenizer.convert_tokens_to_ids(following)
