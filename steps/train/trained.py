"""What is trained, as a file of a checkpoint; the rest is the backbone's."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from steps.errors import UserError
from steps.train.sharding import part_of, whole

WEIGHTS = "trained.safetensors"


def save_trained(module: nn.Module, folder: Path, writes: bool) -> None:
    """Write what is trained; all processes must call it, of which one ``writes``."""
    weights: dict[str, Tensor] = {}
    for name, parameter in _trained(module).items():
        gathered = whole(parameter.detach())
        if writes:
            weights[name] = gathered.contiguous().cpu()
    if writes:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(weights, folder / WEIGHTS)


def load_trained(module: nn.Module, folder: Path) -> None:
    """Take over what `save_trained` wrote.

    Raises:
        UserError: the file holds other weights.
    """
    weights, own = load_file(folder / WEIGHTS), _trained(module)
    if {n: p.shape for n, p in own.items()} != {n: w.shape for n, w in weights.items()}:
        raise UserError(f"{folder} holds other weights than are trained now; delete it")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(part_of(weights[name], parameter))


def _trained(module: nn.Module) -> dict[str, nn.Parameter]:
    return {n: p for n, p in module.named_parameters() if p.requires_grad}
