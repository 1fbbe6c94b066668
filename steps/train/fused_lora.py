"""Adapted linear layers as one product.

peft computes the layer and the adapter, scales that and adds it: three more tensors of the output's
size, and as many in the backward pass. Here the adapter is added to the weight instead (rank x
weights operations, forward and backward); thin products alone are left for the gradients of A and
B. Values differ from peft's by rounding.

No gain with dropout, whose inputs to the adapter are others than the layer's: left to peft, as is
every dtype but float32, where the sum would round the adapter away.
"""

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from steps.onednn import product


class _Adapted(torch.autograd.Function):
    """x (W + s B A)^T + bias, with gradients of x, A and B alone."""

    @staticmethod
    def forward(
        ctx, inputs: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float
    ) -> Tensor:
        ctx.save_for_backward(inputs, weight, a, b)
        ctx.scale = scale
        return product(inputs, torch.addmm(weight, b, a, alpha=scale), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, a, b = ctx.saved_tensors
        of_inputs = None
        if ctx.needs_input_grad[0]:
            of_inputs = product(gradient, torch.addmm(weight, b, a, alpha=ctx.scale).T)
        rows, slopes = inputs.flatten(0, -2), gradient.flatten(0, -2)
        of_a = (slopes @ b).T @ rows * ctx.scale
        of_b = slopes.T @ (rows @ a.T) * ctx.scale
        return of_inputs, None, None, of_a, of_b, None


class FusedLora(Linear):
    """peft's adapted linear layer, computed at once where it can be."""

    def forward(self, x: Tensor, *args, **kwargs) -> Tensor:
        if not self._is_plain(x) or args or kwargs:
            return super().forward(x, *args, **kwargs)
        (name,) = self.active_adapters
        base, a, b = self.base_layer, self.lora_A[name].weight, self.lora_B[name].weight
        return _Adapted.apply(x, base.weight, base.bias, a, b, self.scaling[name])

    def _is_plain(self, x: Tensor) -> bool:
        """Whether one trained adapter is all that stands beside a frozen layer, in float32."""
        if self.disable_adapters or self.merged or len(self.active_adapters) != 1:
            return False
        (name,) = self.active_adapters
        base = self.base_layer
        frozen = not any(parameter.requires_grad for parameter in base.parameters())
        float32 = x.dtype == base.weight.dtype == self.lora_A[name].weight.dtype == torch.float32
        plain = name not in self.lora_variant and not self.lora_bias[name]
        without_dropout = isinstance(self.lora_dropout[name], nn.Identity)
        autocast = torch.is_autocast_enabled(x.device.type)
        return frozen and float32 and plain and without_dropout and not autocast


def fuse_lora(model: nn.Module) -> None:
    """Make peft's adapted linear layers `FusedLora`, in place; what is saved stays as it is."""
    for module in model.modules():
        if type(module) is Linear:
            module.__class__ = FusedLora
