"""How many operations a second the machine's matrix products reach."""

from time import perf_counter

import torch
from transformers import PreTrainedConfig

from benchmarks.flops import product_shapes
from steps.device import best_device
from steps.plan.timing import timed

ROWS = {"cpu": 4096, "cuda": 65_536}  # tokens of a large batch
SECONDS = 0.5  # that each shape is measured for


def matrix_peak(config: PreTrainedConfig, dtype: torch.dtype, seconds: float = SECONDS) -> float:
    """Return the FLOP/s of the fastest of the model's own products, each at its best."""
    return max(
        _product_rate(inputs, outputs, dtype, seconds)
        for inputs, outputs in sorted(set(product_shapes(config)))
    )


def _product_rate(inputs: int, outputs: int, dtype: torch.dtype, seconds: float) -> float:
    device = best_device()
    rows = ROWS[device.type]
    states = torch.randn(rows, inputs, device=device, dtype=dtype)
    weight = torch.randn(inputs, outputs, device=device, dtype=dtype)
    result = torch.empty(rows, outputs, device=device, dtype=dtype)

    def product() -> None:
        torch.mm(states, weight, out=result)

    best, end = float("inf"), perf_counter() + seconds
    while best == float("inf") or perf_counter() < end:
        best = min(best, timed(product)[0])
    return 2 * rows * inputs * outputs / best
