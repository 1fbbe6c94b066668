"""The trainer of a model that is spread over its processes (FSDP)."""

import torch
from torch import nn

from steps.train.batches import MicroBatch
from steps.train.sharding import shard
from steps.train.trainer import RewardTrainer


class ShardedTrainer(RewardTrainer):
    """Computes what `RewardTrainer` does; of the model each process holds a part.

    Gradients are summed over the processes after every micro-batch, since none has the memory to
    keep a whole one until the step's end.
    """

    def _move_model_to_device(self, model: nn.Module, device: torch.device) -> None:
        """Spread the model over the devices, of which none ever holds all of it."""
        shard(model, device)
        # For its autocast; and a prepared model is not wrapped for data-parallel training.
        self.accelerator.prepare_model(model, device_placement=False, evaluation_mode=True)

    def _first_look(self, model: nn.Module, own: list[MicroBatch], lengths: list) -> None:
        # A forward pass gathers weights from all processes: those with less to look at join in.
        with torch.no_grad():
            for filler in (micro_batch for micro_batch in own if not micro_batch.counts):
                model(filler.groups)
        super()._first_look(model, own, lengths)
