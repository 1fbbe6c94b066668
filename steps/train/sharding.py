"""Fully sharded data-parallel training (FSDP2, torch's `fully_shard`): each process holds a part of
every weight, of its gradient and of the optimiser's state.

Files hold whole tensors, as those of any other training do: a checkpoint shows neither the sharding
nor the number of processes, and any of them can go on from it.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from steps.errors import UserError
from steps.train.language_module import LanguageModule


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
        part.set_force_sum_reduction_for_comms(True)  # and then divide: gloo knows no mean
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


def whole_state(optimizer: Optimizer, keep: bool) -> dict[str, Any]:
    """Return the state of a sharded optimiser as that of an unsharded one, on the CPU.

    All processes must ask together.

    Args:
        keep: whether this process wants the tensors: all of them may be too much for every one.
    """
    state = optimizer.state_dict()
    moments: dict[int, dict[str, Tensor]] = {place: {} for place in state["state"]}
    for place, values in state["state"].items():
        for name, value in values.items():
            gathered = whole(value)
            if keep:
                moments[place][name] = gathered.cpu()
    return state | {"state": moments}


def load_whole_state(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Take over this process's part of a `whole_state`, as copies: the file may be deleted next."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    places = [place for group in state["param_groups"] for place in group["params"]]
    moments = {
        place: {
            name: part_of(value, parameter) if value.shape == parameter.shape else value.clone()
            for name, value in state["state"][place].items()
        }
        for place, parameter in zip(places, parameters, strict=True)
    }
    optimizer.load_state_dict(state | {"state": moments})
