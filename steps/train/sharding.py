"""Fully sharded data-parallel training (FSDP2, torch's `fully_shard`): each process holds a part of
every weight, of its gradient and of the optimiser's state.

Files hold whole tensors, whatever the number of processes.
"""

from itertools import count
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from steps.errors import UserError
from steps.train.language_module import LanguageModule

MOMENTS = "moments-{}.safetensors"
FILE_BYTES = 1 << 30  # of one of these files: so much more of the machine's memory does saving take


def shard(module: LanguageModule, device: torch.device) -> None:
    """Spread a module, which lies in the machine's memory, over the devices of all processes.

    A decoder layer is whole while it computes. Embedding, norm and heads, which are used outside of
    the layers, are whole from the forward pass to the end of the backward pass.

    Raises:
        UserError: there is one process.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        raise UserError(
            "--fsdp spreads a model over several processes and this is the only one; start them "
            "by torchrun --nproc-per-node N, or leave --fsdp out"
        )
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    model = module.unwrapped
    layers = [part for part in model.modules() if type(part).__name__ in model._no_split_modules]
    for part in (*layers, module):
        fully_shard(part, mesh=mesh)
    # The backbone's own LM head, where it is not the embedding, is no parameter: every process
    # holds all of it.
    module.tied_lm_weight[:] = [weight.to(device) for weight in module.tied_lm_weight]


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor; where it is sharded, all processes must ask together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """Return of a whole tensor the part that this process holds of ``like``."""
    if not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def all_finite(tensor: Tensor) -> bool:
    """Whether no part of a tensor holds inf or NaN; where it is sharded, all must ask together."""
    if not isinstance(tensor, DTensor):
        return bool(tensor.isfinite().all())
    bad = (~tensor.to_local().isfinite()).sum()
    dist.all_reduce(bad)
    return bad.item() == 0


def save_moments(optimizer: Optimizer, folder: Path, writes: bool) -> None:
    """Write the tensors of an optimiser's state; all processes must call it, of which one writes.

    They are gathered one by one: the whole state may be too much for any device.
    """
    tensors: dict[str, Tensor] = {}
    files = count()
    for place, parameter in enumerate(_parameters(optimizer)):
        for name, value in optimizer.state[parameter].items():
            gathered = whole(value)
            if writes:
                tensors[f"{place}.{name}"] = gathered.contiguous().cpu()
        if sum(tensor.nbytes for tensor in tensors.values()) > FILE_BYTES:
            save_file(tensors, folder / MOMENTS.format(next(files)))
            tensors.clear()
    if tensors:
        save_file(tensors, folder / MOMENTS.format(next(files)))


def load_moments(optimizer: Optimizer, folder: Path) -> None:
    """Take over this process's part of `save_moments`, as copies: the files may be deleted next."""
    parameters = _parameters(optimizer)
    for file in folder.glob(MOMENTS.format("*")):
        with safe_open(file, "pt") as stored:
            for key in stored.keys():  # noqa: SIM118 (no mapping)
                place, _, name = key.partition(".")
                parameter = parameters[int(place)]
                value = stored.get_tensor(key).to(parameter.device, copy=True)
                of_weight = value.shape == parameter.shape  # the count of steps is a scalar
                optimizer.state[parameter][name] = part_of(value, parameter) if of_weight else value


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
