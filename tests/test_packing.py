"""The packed layout computes what the plain one-response-per-row computation does."""

from functools import partial

import pytest
import torch
from torch.nn.functional import log_softmax
from transformers import AutoModelForCausalLM, GemmaConfig, LlamaConfig, Qwen2Config

from steps import attention, varlen
from steps.backbone import run_model, run_upper_layers
from steps.lm_head import tempered_log_probs, token_log_probs
from steps.packing import ATTENTION, position_ids, predictors, span_of
from tests.texts_of_any_length import attend_texts

SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.3,
}
GROUPS = [(3, [4, 2]), (1, [1, 5, 3])]  # prompt length, response lengths


@pytest.fixture(autouse=True, params=["products", "kernel", "texts of any length"])
def way_of_attention(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "kernel":
        monkeypatch.setattr(attention, "SHORT", 0)
    if request.param == "texts of any length":
        monkeypatch.setattr(varlen, "takes", lambda values, dropout: True)
        monkeypatch.setattr(varlen, "varlen_attn", attend_texts)


@pytest.fixture(params=[LlamaConfig, GemmaConfig, Qwen2Config], ids=["llama", "gemma", "qwen2"])
def model(request: pytest.FixtureRequest):
    torch.manual_seed(0)
    config = request.param(**SIZES)
    return AutoModelForCausalLM.from_config(config, attn_implementation=ATTENTION).eval().double()


def packed_row():
    torch.manual_seed(1)
    spans, at = [], 0
    for prompt, responses in GROUPS:
        spans.append(span_of(prompt, responses, at))
        at += spans[-1].tokens
    return torch.randint(0, 50, (at,)), spans


def test_hidden_states_equal_the_plain_ones(model) -> None:
    tokens, spans = packed_row()
    packed = model.base_model(
        input_ids=tokens[None], position_ids=position_ids(spans), use_cache=False, groups=spans
    ).last_hidden_state[0]
    model.set_attn_implementation("eager")
    for span in spans:
        for start, end in span.responses:
            prompt = slice(*span.prompt)
            row = torch.cat([tokens[prompt], tokens[start:end]])[None]
            plain = model.base_model(input_ids=row, use_cache=False).last_hidden_state[0]
            size = span.prompt[1] - span.prompt[0]
            assert torch.allclose(packed[start:end], plain[size:], atol=1e-5)
            assert torch.allclose(packed[prompt], plain[:size], atol=1e-5)


def test_upper_layers_continue_from_cached_hidden_states(model) -> None:
    tokens, spans = packed_row()
    caught = []
    hook = model.base_model.layers[1].register_forward_pre_hook(
        lambda _, args: caught.append(args[0])
    )
    whole = model.base_model(
        input_ids=tokens[None], position_ids=position_ids(spans), use_cache=False, groups=spans
    ).last_hidden_state
    hook.remove()
    upper = run_upper_layers(model, caught[0], spans, first=1)
    assert torch.allclose(upper, whole, atol=1e-12)


def test_gradients_equal_the_plain_ones(model) -> None:
    tokens, spans = packed_row()
    positions = position_ids(spans)
    out = model.base_model(
        input_ids=tokens[None], position_ids=positions, use_cache=False, groups=spans
    ).last_hidden_state[0]
    sum(out[e - 1].sum() for s in spans for _, e in s.responses).backward()
    packed = {name: p.grad for name, p in model.base_model.named_parameters()}
    model.zero_grad()
    model.set_attn_implementation("eager")
    total = 0.0
    for span in spans:
        for start, end in span.responses:
            row = torch.cat([tokens[slice(*span.prompt)], tokens[start:end]])[None]
            total = total + model.base_model(input_ids=row, use_cache=False)[0][0, -1].sum()
    total.backward()
    for name, parameter in model.base_model.named_parameters():
        assert torch.allclose(packed[name], parameter.grad, atol=1e-5), name


def test_training_on_what_was_scored_before(model) -> None:
    """What is kept between calls was made without gradients."""
    varlen._texts.cache_clear()
    tokens, spans = packed_row()
    run = partial(run_model, model, tokens, spans)
    with torch.inference_mode():
        scored = run()
    trained = run()
    assert torch.equal(trained, scored)
    trained.sum().backward()
    assert model.base_model.layers[0].self_attn.k_proj.weight.grad.abs().sum() > 0


def test_predictors_are_the_tokens_before() -> None:
    span = span_of(3, [4, 2], start=10)
    assert predictors(span, 0).tolist() == [12, 13, 14, 15]
    assert predictors(span, 1).tolist() == [12, 17]


def test_token_log_probs_and_gradients() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(1100, 5, dtype=torch.float64, requires_grad=True)  # several chunks
    weight = torch.randn(11, 5, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 11, (1100,))
    upstream = torch.randn(1100, dtype=torch.float64)
    expected = torch.log_softmax(hidden @ weight.T, 1).gather(1, targets[:, None])[:, 0]
    wanted = torch.autograd.grad(expected, (hidden, weight), upstream)
    got = token_log_probs(hidden, weight, targets)
    assert torch.allclose(got, expected, atol=1e-12)
    for a, b in zip(torch.autograd.grad(got, (hidden, weight), upstream), wanted, strict=True):
        assert torch.allclose(a, b, atol=1e-10)
    frozen = token_log_probs(hidden, weight.detach(), targets)
    (alone,) = torch.autograd.grad(frozen, hidden, upstream)
    assert torch.allclose(alone, wanted[0], atol=1e-10)


def autocast_gradients(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor):
    """Log-probabilities under autocast, and the gradients of their sum."""
    with torch.autocast("cpu", torch.bfloat16):
        got = token_log_probs(hidden, weight, targets)
    return got, torch.autograd.grad(got.sum(), (hidden, weight))


def test_under_autocast_products_are_its_own_and_the_rest_float32() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(1100, 5, requires_grad=True)
    weight = torch.randn(11, 5, requires_grad=True)
    targets = torch.randint(0, 11, (1100,))
    got, gradients = autocast_gradients(hidden, weight, targets)
    with torch.autocast("cpu", torch.bfloat16):
        logits = torch.nn.functional.linear(hidden, weight)
    wanted = log_softmax(logits.float(), 1).gather(1, targets[:, None])[:, 0]
    assert got.dtype == torch.float32 and torch.allclose(got, wanted, atol=1e-5)
    assert all(gradient.dtype == torch.float32 for gradient in gradients)


@pytest.mark.parametrize(("scale", "likely"), [(0.7, 0.99), (0.0, 0.0)])
def test_under_autocast_gradients_are_those_of_float32(scale, likely, monkeypatch) -> None:
    """Of sure tokens too, whose gradients are small, and of a sum over many chunks."""
    monkeypatch.setattr("steps.lm_head.chunk_rows", lambda *_: 16)
    torch.manual_seed(0)
    weight = torch.randn(11, 16).bfloat16().float().requires_grad_()
    targets = torch.randint(0, 11, (1600,))
    hidden = (weight[targets] * scale + torch.randn(1600, 16) / 4).detach().bfloat16().float()
    hidden.requires_grad_()
    _, found = autocast_gradients(hidden, weight, targets)
    exact = log_softmax(hidden @ weight.T, 1).gather(1, targets[:, None])[:, 0]
    assert exact.median().exp() > likely
    wanted = torch.autograd.grad(exact.sum(), (hidden, weight))
    for own, exactly in zip(found, wanted, strict=True):
        # Logits of half precision are off by up to 0.4 %, which are 4 % of a small probability.
        off = (own - exactly).norm(dim=1) / exactly.norm(dim=1)
        assert off.median() < 0.05


def test_temperature_and_nucleus() -> None:
    probs = torch.tensor([0.5, 0.25, 0.15, 0.1], dtype=torch.float64)
    hidden, weight = torch.ones(4, 1, dtype=torch.float64), probs.log()[:, None]
    targets = torch.arange(4)
    plain, entropy = tempered_log_probs(hidden, weight, targets, 1.0, 1.0)
    assert torch.allclose(plain.exp(), probs)
    assert torch.allclose(entropy, -(probs * probs.log()).sum().expand(4))
    sharp, _ = tempered_log_probs(hidden, weight, targets, 0.5, 1.0)
    assert torch.allclose(sharp.exp(), probs**2 / (probs**2).sum())
    # The first three tokens are needed to reach a mass of 0.8; the fourth gets nothing.
    nucleus, _ = tempered_log_probs(hidden, weight, targets, 1.0, 0.8)
    assert torch.allclose(nucleus.exp(), torch.tensor([0.5, 0.25, 0.15, 0.0]).double() / 0.9)
