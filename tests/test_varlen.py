"""Attention of all texts of a row in one call: what torch's kernel gets, and when it is taken.

That its values and gradients are the plain ones is in `tests/test_packing.py`.
"""

from types import SimpleNamespace

import pytest
import torch

from steps.varlen import _texts, attend_groups, takes
from tests.texts_of_any_length import attend_texts


def test_shapes_and_dtypes_of_the_call_and_its_gradients() -> None:
    """On tensors without values: the kernel checks nothing. Queries and keys as under autocast."""
    half = {"device": "meta", "dtype": torch.bfloat16, "requires_grad": True}
    wide = half | {"dtype": torch.float32}
    queries, keys = torch.empty(1, 9, 20, 64, **wide), torch.empty(1, 3, 20, 64, **wide)
    values = torch.empty(1, 3, 20, 64, **half)
    attended = attend_groups(queries, keys, values, [[4, 3, 5], [2, 6]], 0.125)
    assert attended.shape == (1, 20, 9, 64) and attended.dtype == torch.bfloat16
    attended.sum().backward()
    for given in (queries, keys, values):
        assert given.grad.dtype == given.dtype and given.grad.shape == given.shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch's kernel needs a GPU")
@pytest.mark.parametrize("groups", [[[4, 3, 5], [2, 6]], [[1, 1, 1]], [[200, 130, 7]]])
def test_on_a_gpu_values_and_gradients_are_the_plain_ones(groups: list[list[int]]) -> None:
    torch.manual_seed(0)
    tokens = sum(map(sum, groups))
    half = {"device": "cuda", "dtype": torch.bfloat16, "requires_grad": True}
    inputs = [torch.randn(1, heads, tokens, 64, **half) for heads in (9, 3, 3)]
    texts = _texts(tuple(map(tuple, groups)), inputs[0].device)
    attended = attend_groups(*inputs, groups, 0.125)
    exact = [x.detach().double().cpu().requires_grad_() for x in inputs]
    queries, keys, values = (x[0].transpose(0, 1).contiguous() for x in exact)
    wanted = attend_texts(
        queries,
        keys[texts.keys.cpu()],
        values[texts.keys.cpu()],
        texts.query_ends.cpu(),
        texts.key_ends.cpu(),
        texts.most_queries,
        texts.most_keys,
        scale=0.125,
        window_size=(-1, 0),
        enable_gqa=True,
    )[None]
    direction = torch.randn_like(attended)
    found = (attended, *torch.autograd.grad(attended, inputs, direction))
    wanted = (wanted, *torch.autograd.grad(wanted, exact, direction.cpu().double()))
    for own, plain in zip(found, wanted, strict=True):
        assert (own.cpu().double() - plain).norm() < 0.02 * plain.norm()


@pytest.mark.parametrize(
    ("changed", "taken"),
    [
        ({}, True),
        ({"is_cuda": False}, False),
        ({"dtype": torch.float32}, False),
        ({"shape": (1, 3, 20, 512)}, False),
        ({"shape": (1, 3, 20, 100)}, False),
        ({"dropout": 0.1}, False),
        ({"capability": (7, 5)}, False),
        ({"cuda": None}, False),
        ({"flash": False}, False),
    ],
)
def test_when_the_kernel_is_taken(changed: dict, taken: bool, monkeypatch) -> None:
    facts = {"is_cuda": True, "dtype": torch.bfloat16, "shape": (1, 3, 20, 64), "device": "cuda:0"}
    facts |= {"dropout": 0.0, "capability": (9, 0), "cuda": "13.0"}
    facts |= {"flash": True} | changed
    monkeypatch.setattr(torch.version, "cuda", facts["cuda"])
    has_flash = "is_flash_attention_available"
    monkeypatch.setattr(torch.backends.cuda, has_flash, lambda: facts["flash"])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: facts["capability"])
    assert takes(SimpleNamespace(**facts), facts["dropout"]) is taken
