"""Attention of a text's last tokens: by plain products where short, by torch's kernel elsewhere."""

import pytest
import torch
from torch import Tensor

from steps import attention
from steps.attention import _by_kernel, _for_heads, attend

SCALING = 0.3
SIZES = [(5, 5), (3, 5), (2, 5), (1, 4), (1, 1)]  # last tokens, all tokens
HEADS = [(4, 2), (4, 1), (3, 3)]  # of queries, of keys


def tensors(
    last: int, tokens: int, dtype: torch.dtype = torch.float64, heads: tuple[int, int] = (4, 2)
) -> list[Tensor]:
    torch.manual_seed(0)
    of_queries, of_keys = heads
    shapes = [(1, of_queries, last, 6), (1, of_keys, tokens, 6), (1, of_keys, tokens, 6)]
    return [torch.randn(shape, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes]


def gradients(attended: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    torch.manual_seed(1)
    direction = torch.randn(attended.shape, dtype=torch.float64).to(attended.dtype)
    return torch.autograd.grad(attended, inputs, direction)


def plain(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The formula, query by query."""
    output = torch.empty_like(queries)
    _, heads, last, _ = queries.shape
    before, group = keys.shape[2] - last, heads // keys.shape[1]
    for head in range(heads):
        for row in range(last):
            seen = slice(before + row + 1)
            scores = keys[0, head // group, seen] @ queries[0, head, row] * SCALING
            output[0, head, row] = scores.softmax(0) @ values[0, head // group, seen]
    return output


@pytest.fixture(params=["short, one block", "short, blocks of two", "by the kernel"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "by the kernel":
        monkeypatch.setattr(attention, "SHORT", 0)
    if request.param == "short, blocks of two":
        monkeypatch.setattr(attention, "BLOCK", 2)
    return request.param


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize(("last", "tokens"), SIZES)
def test_values_and_gradients_are_those_of_the_formula(way, last, tokens, heads) -> None:
    inputs = tensors(last, tokens, heads=heads)
    attended, expected = attend(*inputs, SCALING), plain(*inputs)
    assert torch.allclose(attended, expected, atol=1e-12)
    for found, wanted in zip(gradients(attended, inputs), gradients(expected, inputs), strict=True):
        assert torch.allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize(("last", "tokens"), SIZES)
def test_the_kernel_takes_shared_keys_repeated(last: int, tokens: int) -> None:
    """As on a GPU in float32."""
    queries, keys, values = tensors(last, tokens)
    own = (_for_heads(x, queries.shape[1]) for x in (keys, values))
    attended = _by_kernel(queries, *own, SCALING, 0.0)
    assert torch.allclose(attended, plain(queries, keys, values), atol=1e-12)


def test_a_text_of_more_tokens_than_are_short_goes_to_the_kernel(monkeypatch) -> None:
    taken = []
    monkeypatch.setattr(attention, "SHORT", 5)
    monkeypatch.setattr(attention, "_by_kernel", lambda *inputs: taken.append(inputs) or inputs[0])
    attend(*tensors(5, 5), SCALING)
    assert not taken
    attend(*tensors(2, 6), SCALING)
    assert len(taken) == 1


def test_float32_is_as_exact_as_the_kernel(monkeypatch) -> None:
    """500 tokens, as texts have: of values and gradients neither way is much further off."""
    inputs = tensors(300, 500, torch.float32)
    exact = [x.detach().double().requires_grad_() for x in inputs]
    attended = attend(*exact, SCALING)
    exact = (attended, *gradients(attended, exact))

    def error() -> list[float]:
        attended = attend(*inputs, SCALING)
        found = (attended, *gradients(attended, inputs))
        return [(f - e).abs().max().item() for f, e in zip(found, exact, strict=True)]

    ours = error()
    monkeypatch.setattr(attention, "SHORT", 0)
    for own, kernels in zip(ours, error(), strict=True):
        assert own < max(3 * kernels, 1e-6)
        assert own < 1e-5


@pytest.mark.parametrize("autocast", [True, False])
def test_half_precision_is_left_to_the_kernel(autocast: bool, monkeypatch) -> None:
    """With autocast too, where values alone are of half precision."""
    monkeypatch.setattr(attention._ShortAttention, "apply", None)
    queries, keys, values = tensors(3, 5, torch.float32 if autocast else torch.bfloat16)
    inputs = [queries, keys, values.detach().bfloat16().requires_grad_()]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        attended = attend(*inputs, SCALING)
    assert attended.dtype == torch.bfloat16
    expected = plain(*(x.double() for x in inputs))
    assert torch.allclose(attended.double(), expected, atol=0.05)
    assert all(gradient.isfinite().all() for gradient in gradients(attended, inputs))


def test_training_after_inference() -> None:
    """What is kept between calls was made without gradients."""
    inputs = tensors(4, 6, torch.float32)
    attention._causal_bias.cache_clear()
    with torch.inference_mode():
        before = attend(*inputs, SCALING)
    attended = attend(*inputs, SCALING)
    assert torch.equal(attended, before)
    gradients(attended, inputs)


def test_dropout_is_left_to_the_kernel() -> None:
    inputs = tensors(5, 5)
    assert not torch.equal(attend(*inputs, SCALING, 0.5), attend(*inputs, SCALING, 0.5))
