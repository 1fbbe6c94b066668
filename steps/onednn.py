"""Linear layers through oneDNN on the CPUs where it is faster than the library torch takes.

torch's wheels multiply float32 matrices with MKL, which does not use all that AMD's processors
have: on an EPYC of the fourth generation oneDNN, which the same wheels hold, computes a layer and
the gradient of its inputs 1.15 to 1.4 times as fast (an LM head up to twice), the gradient of its
weights no faster. torch has no switch for it, so the operator that its own compiler calls is called
here. Values differ by the rounding of another order of summation.

No gain with fewer than `LEAST` weights, such as adapters have, where preparing the call costs what
it saves; not measured, and so not used, on other processors. The number of rows does not decide, so
that a text has the same values alone as among others.
"""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST = 100_000  # weights that are worth the call, some 15 microseconds


@cache
def is_faster(cpu: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether oneDNN is there and the processor of the make that it was measured on."""
    known = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return known and cpu.is_file() and "AuthenticAMD" in cpu.read_text()


def product(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return inputs weight^T + bias, [..., out], by the faster library; it has no gradient.

    Args:
        inputs: [..., in].
        weight: [out, in], in any order of memory.
        bias: [out].
    """
    if not _pays(inputs, weight):
        return functional.linear(inputs, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")


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
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        inputs, weight = ctx.saved_tensors
        rows = gradient.flatten(0, -2)
        return (
            product(gradient, weight.T) if weight is not None else None,
            rows.T @ inputs.flatten(0, -2) if inputs is not None else None,
            rows.sum(0) if ctx.needs_input_grad[2] else None,
        )


class OneDnnLinear(nn.Linear):
    """A linear layer whose products are computed by the faster library."""

    def forward(self, inputs: Tensor) -> Tensor:
        if torch.is_autocast_enabled(inputs.device.type) or not _pays(inputs, self.weight):
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
