"""Attention of a text's last tokens: by plain products where short, by torch's kernel elsewhere."""

import pytest
import torch
from torch import Tensor

from steps import attention
from steps.attention import attend

SCALING = 0.3
SIZES = [(5, 5), (3, 5), (2, 5), (1, 4), (1, 1)]  # last tokens, all tokens


def tensors(last: int, tokens: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    torch.manual_seed(0)
    shapes = [(1, 4, last, 6), (1, 2, tokens, 6), (1, 2, tokens, 6)]
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def plain(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The formula, query by query."""
    output = torch.empty_like(queries)
    last, before = queries.shape[2], keys.shape[2] - queries.shape[2]
    for head in range(4):
        for row in range(last):
            seen = slice(before + row + 1)
            scores = keys[0, head // 2, seen] @ queries[0, head, row] * SCALING
            output[0, head, row] = scores.softmax(0) @ values[0, head // 2, seen]
    return output


@pytest.fixture(params=["short, one block", "short, blocks of two", "by the kernel"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "by the kernel":
        monkeypatch.setattr(attention, "SHORT", 0)
    if request.param == "short, blocks of two":
        monkeypatch.setattr(attention, "BLOCK", 2)
    return request.param


@pytest.mark.parametrize(("last", "tokens"), SIZES)
def test_values_and_gradients_are_those_of_the_formula(way: str, last: int, tokens: int) -> None:
    inputs = tensors(last, tokens)
    attended = attend(*inputs, SCALING)
    expected = plain(*inputs)
    assert torch.allclose(attended, expected, atol=1e-12)
    direction = torch.randn_like(expected)
    ours = torch.autograd.grad(attended, inputs, direction)
    theirs = torch.autograd.grad(expected, inputs, direction)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-12)


def test_a_text_of_more_tokens_than_are_short_goes_to_the_kernel(monkeypatch) -> None:
    taken = []
    monkeypatch.setattr(attention, "SHORT", 5)
    monkeypatch.setattr(attention, "_causal", lambda *inputs: taken.append(inputs) or inputs[0])
    attend(*tensors(5, 5), SCALING)
    assert not taken
    attend(*tensors(2, 6), SCALING)
    assert len(taken) == 1


def test_float32_is_as_exact_as_the_kernel(monkeypatch) -> None:
    """500 tokens, as texts have: neither way is further from float64 than the other by much."""
    inputs = tensors(300, 500, torch.float32)
    exact = attend(*(x.double() for x in inputs), SCALING)
    ours = (attend(*inputs, SCALING) - exact).abs().max()
    monkeypatch.setattr(attention, "SHORT", 0)
    kernels = (attend(*inputs, SCALING) - exact).abs().max()
    assert ours < 2 * kernels
    assert ours < 1e-6


def test_dropout_is_left_to_the_kernel() -> None:
    inputs = tensors(5, 5)
    assert not torch.equal(attend(*inputs, SCALING, 0.5), attend(*inputs, SCALING, 0.5))
