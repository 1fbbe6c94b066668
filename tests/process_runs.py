"""What `tests.test_processes` trains, in one process and, by torchrun, in two."""

import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from transformers import TrainerCallback

from steps.cache.store import Cache
from steps.config import load_experiment
from steps.errors import UserError
from steps.groups.schema import PromptGroup
from steps.train.callbacks import finished, stop_when
from steps.train.checkpoints import last_checkpoint
from steps.train.run import train_model
from steps.train.trainer import RewardTrainer
from tests.conftest import ROOT, make_groups
from tests.test_run import arguments
from tests.training import TRAINED, UPPER, make_trainer, with_settings

MODES = {
    # Two micro-batches on one process, one and a filler on the other.
    "upper_layers": UPPER.model_copy(
        update={"epochs": 20, "groups_per_step": 3, "tokens_per_batch": 100}
    ),
    # One group a step: one of the processes never has any.
    "full": UPPER.model_copy(
        update={"epochs": 7, "groups_per_step": 1, "mode": "full", "trained_layers": None}
    ),
    # Three groups, two a step: the last step of an epoch leaves one process without a group.
    "lora": UPPER.model_copy(
        update={
            "epochs": 10,
            "groups_per_step": 2,
            "mode": "lora",
            "trained_layers": None,
            "layout": "padded",
        }
    ),
}
# A group is a micro-batch; only the first has right responses, so one process may have none.
MODES["pointwise"] = MODES["upper_layers"].model_copy(
    update={"labels": "pointwise", "tokens_per_batch": 1}
)
# Two micro-batches and a filler, as above; the LM head is the embedding.
MODES["tied"] = MODES["upper_layers"].model_copy(
    update={
        "mode": "full",
        "trained_layers": None,
        "lm_head": "tied",
        "gradient_checkpointing": True,
    }
)
RUNS = [(mode, method) for mode in ("upper_layers", "full") for method in TRAINED]
RUNS += [("lora", method) for method in ("orm", "icrm", "grm")]
RUNS += [("pointwise", method) for method in ("orm", "icrm")]
RUNS += [("tied", "icrm")]
SHARDED = [(mode, method) for mode in ("full", "lora") for method in ("orm", "icrm", "grm")]
SHARDED += [("tied", "icrm")]
RESUMED = "icrm"  # which has a state of its own, the normaliser's


class Stop(TrainerCallback):
    """Ends training after a step."""

    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs) -> None:
        control.should_training_stop = state.global_step == self.step


def all_wrong(group: PromptGroup) -> PromptGroup:
    return replace(group, responses=tuple(replace(r, correct=False) for r in group.responses))


def train(
    mode: str,
    method: str,
    inputs: tuple,
    work: Path,
    stop: int | None = None,
    fsdp: bool = False,
) -> None:
    """Train one run, going on from a checkpoint that is there; the first process writes the log.

    Args:
        inputs: backbone, experiment, cache and groups.
        stop: step to stop after, with a checkpoint every so many steps; None: train to the end.
        fsdp: whether each of the two processes holds half of the model.
    """
    backbone, experiment, cache, groups = inputs
    if mode == "pointwise":
        groups = [groups[0], *map(all_wrong, groups[1:])]
    update = {"checkpoint_steps": stop or 50, "learning_rate": 3e-4}
    changed = with_settings(experiment, MODES[mode].model_copy(update=update))
    callbacks = [Stop(stop)] if stop else None
    trainer = make_trainer(method, backbone, changed, cache, groups, work, callbacks, fsdp)
    trainer.accelerator.wait_for_everyone()  # until the first process has sealed the checkpoint
    checkpoint = last_checkpoint(work)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if fsdp:
        held = sum(p.to_local().numel() for p in trainer.model.parameters())
        assert held < 0.6 * sum(p.numel() for p in trainer.model.parameters())
    if trainer.is_world_process_zero():
        pd.DataFrame(trainer.rows()).to_csv(work / "log.csv", index=False)


def train_all(inputs: tuple, folder: Path) -> None:
    """Train every run; logs and weights go to ``folder``."""
    for mode, method in RUNS:
        train(mode, method, inputs, folder / f"{mode}-{method}")


def train_with_a_stop(inputs: tuple, folder: Path) -> None:
    """Train in one go, and with a request to stop that only the last process hears."""
    backbone, experiment, cache, groups = inputs
    settings = MODES["upper_layers"].model_copy(update={"epochs": 6, "checkpoint_steps": 6})
    changed = with_settings(experiment, settings)

    def make(name: str) -> RewardTrainer:
        return make_trainer("icrm", backbone, changed, cache, groups, folder / name)

    whole, stopped, again = make("whole"), make("stopped"), make("stopped")
    whole.train()
    last = stopped.args.process_index == stopped.args.world_size - 1
    stop_when(stopped, lambda: last and stopped.state.global_step == 2)
    stopped.train()
    assert (stopped.state.global_step, finished(stopped)) == (2, False)
    again.train(resume_from_checkpoint=str(folder / "stopped/checkpoint-2"))
    if whole.is_world_process_zero():
        for name, trainer in (("whole", whole), ("stopped", again)):
            pd.DataFrame(trainer.rows()).to_csv(folder / name / "log.csv", index=False)


def train_sharded(inputs: tuple, folder: Path) -> None:
    """Train sharded runs in one go, and one that is interrupted."""
    for mode, method in SHARDED:
        train(mode, method, inputs, folder / f"{mode}-{method}", fsdp=True)
    for stop in (7, None):
        train("full", RESUMED, inputs, folder / "resumed", stop, fsdp=True)


def train_with_a_bad_gradient(inputs: tuple, work: Path) -> None:
    """Spoil the part of the LM head's gradient that the last process holds: all refuse it."""
    backbone, experiment, cache, groups = inputs
    changed = with_settings(experiment, MODES["full"])
    trainer = make_trainer("grm", backbone, changed, cache, groups, work, fsdp=True)
    backward = trainer.accelerator.backward

    def spoil(loss) -> None:
        backward(loss)
        if trainer.args.process_index == trainer.args.world_size - 1:
            trainer.model.lm_head.grad.to_local().fill_(float("nan"))

    trainer.accelerator.backward = spoil
    with pytest.raises(UserError, match="the gradient of step 1 is not finite on 'g"):
        trainer.train()


def save_a_model(folder: Path, inputs: tuple, name: str, fsdp: bool) -> None:
    """Train by the command's function; the model lies in ``folder / name / "model"``."""
    backbone, experiment, *_ = inputs
    output, log = folder / name / "model", folder / name / "model.csv"
    given = arguments(folder, backbone, "grm", output=output, training_log=log, fsdp=fsdp)
    settings = MODES["lora"].model_copy(update={"epochs": 2, "learning_rate": 3e-4})
    train_model(given, with_settings(experiment, settings))


def main(folder: Path, backbone: Path) -> None:
    """What each process of the test runs."""
    experiment = load_experiment(ROOT / "config/tiny.yaml")
    inputs = (backbone, experiment, Cache(folder / "cache"), make_groups())
    train_all(inputs, folder / "two")
    for stop in (7, None):
        train("upper_layers", RESUMED, inputs, folder / "two/resumed", stop)
    train_with_a_stop(inputs, folder / "two")
    train_sharded(inputs, folder / "sharded")
    train_with_a_bad_gradient(inputs, folder / "sharded/bad")
    save_a_model(folder, inputs, "sharded", fsdp=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
