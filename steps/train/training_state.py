"""What a training goes on with besides its weights, in files that can hold no code.

`transformers` writes pickles. Here tensors are safetensors and all else is JSON, which keeps every
bit of a number.
"""

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from steps.files import named_errors, read_json, write_json
from steps.train.checkpoints import seal
from steps.train.sharding import load_moments, save_moments

SCHEDULE = "schedule.json"  # of the optimiser and the learning rates: all that is no tensor
RANDOM = "random_{}.json"  # of one process


class PlainState:
    """What a `transformers.Trainer` would save and load as pickles; it stands before that class."""

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        folder, writes = Path(output_dir), self.args.should_save
        save_moments(self.optimizer, folder, writes)
        if writes:
            groups = [
                {name: value for name, value in group.items() if name != "params"}
                for group in self.optimizer.param_groups
            ]
            schedule = {"groups": groups, "rates": self.lr_scheduler.state_dict()}
            write_json(folder / SCHEDULE, schedule)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        schedule = read_json(Path(checkpoint) / SCHEDULE)
        for group, stored in zip(self.optimizer.param_groups, schedule["groups"], strict=True):
            group |= stored
        self.lr_scheduler.load_state_dict(schedule["rates"])
        load_moments(self.optimizer, Path(checkpoint))

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        checkpoint = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        with named_errors(checkpoint):
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                self._save_own_state(checkpoint)
                seal(checkpoint)

    def _save_own_state(self, checkpoint: Path) -> None:
        """Save what a trainer has besides; its checkpoint is sealed after that."""

    def _save_rng_state(self, output_dir: str) -> None:
        folder = Path(output_dir)
        folder.mkdir(parents=True, exist_ok=True)  # another process may save the weights
        write_json(folder / RANDOM.format(self.args.process_index), random_state())

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        file = Path(checkpoint) / RANDOM.format(self.args.process_index)
        if file.is_file():  # else there were fewer processes
            set_random_state(read_json(file))


def random_state() -> dict[str, Any]:
    """Return the states of all generators of random numbers, ready for JSON."""
    numpy_state = np.random.get_state(legacy=False)
    numpy_state["state"]["key"] = numpy_state["state"]["key"].tolist()
    state = {"python": random.getstate(), "numpy": numpy_state}
    state["torch"] = torch.get_rng_state().tolist()
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state().tolist()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Take over what `random_state` returned."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    np.random.set_state(state["numpy"])
    torch.set_rng_state(torch.tensor(state["torch"], dtype=torch.uint8))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(torch.tensor(state["cuda"], dtype=torch.uint8))
