"""How many operations a second the machine's matrix products reach."""

from functools import partial
from time import perf_counter

import torch
from transformers import PreTrainedConfig

from benchmarks.flops import product_shapes
from steps.device import best_device
from steps.onednn import product
from steps.plan.timing import timed

ROWS = {"cpu": 4096, "cuda": 65_536}  # tokens of a large batch


def matrix_peak(config: PreTrainedConfig, dtype: torch.dtype, seconds: float) -> float:
    """Return the FLOP/s of the fastest of the model's own products, each at its best.

    On a CPU by the faster of torch's library and, where `steps.onednn` takes it, oneDNN.

    Args:
        seconds: that each product is measured for.
    """
    return max(
        _product_rate(inputs, outputs, dtype, seconds)
        for inputs, outputs in sorted(set(product_shapes(config)))
    )


def _product_rate(inputs: int, outputs: int, dtype: torch.dtype, seconds: float) -> float:
    device = best_device()
    rows = ROWS[device.type]
    states = torch.randn(rows, inputs, device=device, dtype=dtype)
    weight = torch.randn(outputs, inputs, device=device, dtype=dtype)
    result = torch.empty(rows, outputs, device=device, dtype=dtype)
    ways = [partial(torch.mm, states, weight.T, out=result), partial(product, states, weight)]
    best, end = float("inf"), perf_counter() + seconds
    while best == float("inf") or perf_counter() < end:
        best = min([best, *(timed(way)[0] for way in ways)])
    return 2 * rows * inputs * outputs / best
