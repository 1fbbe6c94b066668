"""Attention of all texts of a row in one call: what torch's kernel gets, and when it is taken.

That its values and gradients are the plain ones is in `tests/test_packing.py`.
"""

from types import SimpleNamespace

import pytest
import torch

from steps.varlen import attend_groups, takes


def test_torchs_own_operation_takes_the_call_and_has_gradients() -> None:
    """On tensors without values, for there may be no GPU; queries and keys as under autocast."""
    half = {"device": "meta", "dtype": torch.bfloat16, "requires_grad": True}
    wide = half | {"dtype": torch.float32}
    queries, keys = torch.empty(1, 9, 20, 64, **wide), torch.empty(1, 3, 20, 64, **wide)
    values = torch.empty(1, 3, 20, 64, **half)
    attended = attend_groups(queries, keys, values, [[4, 3, 5], [2, 6]], 0.125)
    assert attended.shape == (1, 20, 9, 64) and attended.dtype == torch.bfloat16
    attended.sum().backward()
    assert [x.grad.dtype for x in (queries, keys, values)] == [
        x.dtype for x in (queries, keys, values)
    ]


@pytest.mark.parametrize(
    ("changed", "taken"),
    [
        ({}, True),
        ({"is_cuda": False}, False),
        ({"dtype": torch.float32}, False),
        ({"shape": (1, 3, 20, 512)}, False),
        ({"dropout": 0.1}, False),
        ({"capability": (7, 5)}, False),
        ({"cuda": None}, False),
    ],
)
def test_when_the_kernel_is_taken(changed: dict, taken: bool, monkeypatch) -> None:
    facts = {"is_cuda": True, "dtype": torch.bfloat16, "shape": (1, 3, 20, 64), "device": "cuda:0"}
    facts |= {"dropout": 0.0, "capability": (9, 0), "cuda": "13.0"} | changed
    monkeypatch.setattr(torch.version, "cuda", facts["cuda"])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: facts["capability"])
    assert takes(SimpleNamespace(**facts), facts["dropout"]) is taken
