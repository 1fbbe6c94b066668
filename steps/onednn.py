"""Linear layers through oneDNN on the CPUs where it is faster than the library torch takes.

torch's wheels multiply float32 matrices with MKL, which does not use all that AMD's processors
have: on an EPYC of the fourth generation oneDNN, which the same wheels hold, computes a layer and
the gradient of its inputs 1.15 to 1.4 times as fast (an LM head 1.6 times), the gradient of its
weights no faster. torch has no switch for it, so the operator that its own compiler calls is called
here. Values differ by the rounding of another order of summation.

No gain with fewer than `LEAST` weights, such as adapters have, where preparing the call costs what
it saves. Not measured, and so not used, on processors of other makes or without AVX-512.

oneDNN keeps code for every number of rows that it has met and never gives all of it back, so the
rows are filled up to a multiple of `ROWS`; and what it keeps lies between tensors, whose memory is
given back on purpose (`steps.heap`). Whatever the rows, the same code adds up each, so a text has
the same values alone as among others.
"""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from steps.heap import give_back_memory

LEAST = 100_000  # weights that are worth the call, some 15 microseconds
ROWS, FEW_ROWS = 32, 8  # the second for fewer rows than the first


@cache
def is_faster(cpu: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether oneDNN is there and the processor of the make that it was measured on."""
    known = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    if not known or not cpu.is_file():
        return False
    words = cpu.read_text().split()
    return "AuthenticAMD" in words and "avx512f" in words


def product(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return inputs weight^T + bias, [..., out], by the faster library; it has no gradient.

    Each call is an occasion to give memory back, see above.

    Args:
        inputs: [..., in].
        weight: [out, in], in any order of memory.
        bias: [out].
    """
    if not _pays(inputs, weight):
        return functional.linear(inputs, weight, bias)
    give_back_memory()
    rows = as_rows(inputs)
    outputs = torch.ops.mkldnn._linear_pointwise(_filled(rows), weight, bias, "none", [], "")
    return outputs[: len(rows)].view(*inputs.shape[:-1], len(weight))


def whole(rows: int) -> int:
    """Return the greatest number of rows, up to ``rows``, that needs no filling."""
    return rows - rows % _step(rows)


def _step(rows: int) -> int:
    return ROWS if rows > ROWS else FEW_ROWS


def _filled(rows: Tensor) -> Tensor:
    """Return rows [n, in] with zeros below them where n is no multiple of `ROWS`."""
    missing = -len(rows) % _step(len(rows))
    if not missing:
        return rows
    filled = rows.new_empty(len(rows) + missing, rows.shape[1])
    filled[: len(rows)], filled[len(rows) :] = rows, 0
    return filled


def as_rows(values: Tensor) -> Tensor:
    """Return [..., size] as [rows, size]."""
    return values.reshape(-1, values.shape[-1])


def _pays(inputs: Tensor, weight: Tensor) -> bool:
    return (
        is_faster()
        and inputs.device.type == "cpu"
        and inputs.dtype == weight.dtype == torch.float32
        and weight.numel() >= LEAST
    )


class _Linear(torch.autograd.Function):
    """`product`, the gradient of inputs by the same library, of weights and bias by torch's."""

    @staticmethod
    def forward(ctx, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        of_inputs, of_weight, _ = ctx.needs_input_grad
        ctx.save_for_backward(inputs if of_weight else None, weight if of_inputs else None)
        return product(inputs, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        inputs, weight = ctx.saved_tensors
        rows = as_rows(gradient)
        return (
            product(gradient, weight.T) if weight is not None else None,
            rows.T @ as_rows(inputs) if inputs is not None else None,
            rows.sum(0) if ctx.needs_input_grad[2] else None,
        )


class OneDnnLinear(nn.Linear):
    """A linear layer whose products are computed by the faster library."""

    def forward(self, inputs: Tensor) -> Tensor:
        if not _pays(inputs, self.weight) or torch.is_autocast_enabled("cpu"):
            return super().forward(inputs)
        return _Linear.apply(inputs, self.weight, self.bias)


def use_onednn(model: nn.Module) -> None:
    """Make the plain linear layers of a model `OneDnnLinear`, in place, where that is a gain.

    Weights, names and what is saved stay as they are.
    """
    if is_faster():
        for module in model.modules():
            if type(module) is nn.Linear:
                module.__class__ = OneDnnLinear
