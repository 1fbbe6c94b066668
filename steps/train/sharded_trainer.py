"""The trainer of a model that is spread over its processes (FSDP)."""

from pathlib import Path

import torch
from torch import nn
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME

from steps.train.batches import MicroBatch
from steps.train.sharding import load_moments, save_moments, shard
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

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        folder, writes = Path(output_dir), self.args.should_save
        save_moments(self.optimizer, folder, writes)
        if writes:
            torch.save(self.optimizer.state_dict() | {"state": {}}, folder / OPTIMIZER_NAME)
            torch.save(self.lr_scheduler.state_dict(), folder / SCHEDULER_NAME)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            load_moments(self.optimizer, Path(checkpoint))
