"""Two processes train what one trains: twenty steps of every method, through torchrun; they
continue where two processes were interrupted, and save and go on together.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from transformers import TrainerCallback

from steps.cache.store import Cache
from steps.train.callbacks import finished, stop_when
from steps.train.checkpoints import last_checkpoint
from steps.train.trainer import RewardTrainer
from tests.conftest import ROOT
from tests.training import TRAINED, UPPER, make_cache, make_trainer, with_settings

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
MODES["pointwise"] = MODES["upper_layers"].model_copy(update={"labels": "pointwise"})
RUNS = [(mode, method) for mode in ("upper_layers", "full") for method in TRAINED]
RUNS += [("lora", method) for method in ("orm", "icrm", "grm")]
RUNS += [("pointwise", method) for method in ("orm", "icrm")]
RESUMED = "icrm"  # which has a state of its own, the normaliser's


class Stop(TrainerCallback):
    """Ends training after a step."""

    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs) -> None:
        control.should_training_stop = state.global_step == self.step


def train(mode: str, method: str, inputs: tuple, work: Path, stop: int | None = None) -> None:
    """Train one run, going on from a checkpoint that is there; the first process writes the log.

    Args:
        inputs: backbone, experiment, cache and groups.
        stop: step to stop after, with a checkpoint every so many steps; None: train to the end.
    """
    backbone, experiment, cache, groups = inputs
    update = {"checkpoint_steps": stop or 50, "learning_rate": 3e-4}
    changed = with_settings(experiment, MODES[mode].model_copy(update=update))
    callbacks = [Stop(stop)] if stop else None
    trainer = make_trainer(method, backbone, changed, cache, groups, work, callbacks)
    trainer.accelerator.wait_for_everyone()  # until the first process has sealed the checkpoint
    checkpoint = last_checkpoint(work)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.is_world_process_zero():
        pd.DataFrame(trainer.rows()).to_csv(work / "log.csv", index=False)


def train_all(inputs: tuple, folder: Path) -> None:
    """Train every run; logs and weights go to ``folder``."""
    for mode, method in RUNS:
        train(mode, method, inputs, folder / f"{mode}-{method}")


def train_with_a_stop(backbone: Path, experiment, groups, cache: Cache, folder: Path) -> None:
    """Train in one go, and with a request to stop that only the last process hears."""
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


def main(folder: Path, backbone: Path) -> None:
    """What each process of the test runs."""
    import tests.conftest as fixtures
    from steps.config import load_experiment

    groups = fixtures.make_groups()
    experiment = load_experiment(ROOT / "config/tiny.yaml")
    inputs = (backbone, experiment, Cache(folder / "cache"), groups)
    train_all(inputs, folder / "two")
    for stop in (7, None):
        train("upper_layers", RESUMED, inputs, folder / "two/resumed", stop)
    train_with_a_stop(*inputs[:2], groups, inputs[2], folder / "two")


@pytest.fixture(scope="module")
def folder(backbone, experiment, groups, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    cache = make_cache(backbone, experiment, groups, folder)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--standalone", "-m", "tests.test_processes", str(folder), str(backbone)]
    with (folder / "output.txt").open("w") as output:
        child = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        train_all((backbone, experiment, cache, groups), folder / "one")
        code = child.wait(timeout=300)
    assert code == 0, (folder / "output.txt").read_text()[-3000:]
    return folder


@pytest.mark.parametrize(("mode", "method"), RUNS)
def test_two_processes_equal_one(mode, method, folder) -> None:
    one, two = (folder / count / f"{mode}-{method}" for count in ("one", "two"))
    log, again = (
        pd.read_csv(path / "log.csv").drop(columns="padding_share", errors="ignore")
        for path in (one, two)
    )
    assert len(log) >= 20
    np.testing.assert_allclose(log, again, rtol=1e-5, atol=1e-5)
    weights, others = (
        load_file(path / f"checkpoint-{len(log)}/trained.safetensors") for path in (one, two)
    )
    for name, value in weights.items():
        assert (value - others[name]).abs().max() <= 1e-5, name


def test_two_processes_continue_where_they_stopped(folder) -> None:
    """Seven steps, a new start and thirteen more: the bytes of twenty."""
    whole, resumed = folder / f"two/upper_layers-{RESUMED}", folder / "two/resumed"
    for name in ("log.csv", "checkpoint-20/trained.safetensors"):
        assert (whole / name).read_bytes() == (resumed / name).read_bytes()


def test_two_processes_that_are_asked_to_stop_go_on_with_the_same_numbers(folder) -> None:
    whole, stopped = (
        pd.read_csv(folder / "two" / name / "log.csv") for name in ("whole", "stopped")
    )
    assert len(whole) == 6
    pd.testing.assert_frame_equal(whole, stopped, check_exact=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
