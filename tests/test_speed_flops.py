"""The counted operations are those that torch counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, GemmaConfig, LlamaConfig, Qwen2Config

from benchmarks.flops import Work, forward_flops, training_flops, work_of
from steps.packing import span_of
from tests.stand_ins import SIZES

ROWS, TOKENS = 2, 7


@pytest.fixture(params=[LlamaConfig, GemmaConfig, Qwen2Config], ids=["llama", "gemma", "qwen2"])
def model(request: pytest.FixtureRequest):
    config = request.param(**SIZES, vocab_size=50)
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager")


def counted(model, backward: bool) -> int:
    """Operations as torch counts them, without those of the rotary positions."""
    with FlopCounterMode(display=False) as counter:
        ids = torch.zeros(ROWS, TOKENS, dtype=torch.int64)
        loss = model(input_ids=ids, use_cache=False).logits.sum()
        if backward:
            loss.backward()
    counts = counter.get_flop_counts()
    rotary = sum(sum(c.values()) for name, c in counts.items() if name.endswith(".rotary_emb"))
    return sum(counts["Global"].values()) - rotary


def test_forward_and_backward(model) -> None:
    """Eager attention computes every query against every key, so that is the work here."""
    work = Work(ROWS * TOKENS, ROWS * TOKENS**2, predicted=ROWS * TOKENS)
    assert counted(model, backward=False) == forward_flops(model.config, work)
    assert counted(model, backward=True) == training_flops(model.config, work, "full")


def test_frozen_weights_save_their_gradients(model) -> None:
    work = Work(ROWS * TOKENS, ROWS * TOKENS**2, predicted=ROWS * TOKENS)
    model.requires_grad_(False)
    model.get_input_embeddings().weight.requires_grad_(True)
    if not model.config.tie_word_embeddings:
        model.lm_head.weight.requires_grad_(True)
    assert counted(model, backward=True) == training_flops(model.config, work, "lora")


def test_upper_layers_count_alone(model) -> None:
    work = Work(ROWS * TOKENS, ROWS * TOKENS**2)
    layers = model.config.num_hidden_layers
    whole = training_flops(model.config, work, "full")
    assert training_flops(model.config, work, "upper_layers", 2) * layers == whole * 2


def test_a_prompt_counts_once_and_is_seen_by_every_response() -> None:
    work = work_of([span_of(3, [2, 4]), span_of(1, [1])], predicted=7)
    seen = [1 + 2 + 3, (4 + 5) + (4 + 5 + 6 + 7), 1 + 2]
    assert work == Work(tokens=11, attended=sum(seen), predicted=7)
