"""A working tree of the project that is run by SLURM, and what can be asked of it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from steps.config import load_experiment
from steps.config.resources import settings_hash
from steps.files import write_json
from tests.conftest import ROOT

NAME = "slurm"
TRAIN = "rule_train_wildcards_icrm_0"
LOG = f"results/{NAME}/training/icrm/seed0.csv"  # of that training
WENT_ON = r"going on from checkpoint-(\d+)"
# Steps between two checkpoints that nobody asked for.
EVERY = 97


@dataclass(frozen=True)
class Tree:
    """A copy of the project with one experiment: the tiny one with a training of many steps."""

    folder: Path

    @property
    def results(self) -> Path:
        return self.folder / "results" / NAME

    def write_experiment(self, **training: str | int | None) -> None:
        """Write the experiment, with other settings of the training where given."""
        content = yaml.safe_load((ROOT / "config/tiny.yaml").read_text())
        content |= {"methods": ["icrm"], "seeds": [0]}
        changes = {"epochs": 300, "checkpoint_steps": EVERY, "learning_rate": 0.003}
        content["training"] |= changes | training
        (self.folder / f"config/{NAME}.yaml").write_text(yaml.safe_dump(content))

    def write_cluster(self, **values: int | bool) -> None:
        """Set what the lab's nodes are, and ``values``."""
        path = self.folder / "slurm/cluster.yaml"
        content = yaml.safe_load(path.read_text())
        lab = {"memory_mb": 1200, "runtime_minutes": 10, "seconds_to_save": 30}
        lab |= {"cpu_memory_mb": 1200, "cpu_runtime_minutes": 10}
        content["cluster"] |= lab | values
        path.write_text(yaml.safe_dump(content))

    def plan(self, **numbers: int) -> None:
        """Write a plan that says so much of the training."""
        experiment = load_experiment(self.folder / f"config/{NAME}.yaml")
        plan = {"settings": settings_hash(experiment), "rules": {"train": numbers}}
        write_json(self.results / "plan.json", plan)

    def start(
        self, command: str = "snakemake --profile slurm", target: str = "all"
    ) -> subprocess.Popen:
        """Start the controller; its output goes to ``controller.log``."""
        line = f"{command} {target} --slurm-init-seconds-before-status-checks 3 --config"
        with (self.folder / "controller.log").open("a") as log:
            return subprocess.Popen(
                [*line.split(), f"experiment={NAME}"],
                cwd=self.folder,
                env=environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def finish(self, controller: subprocess.Popen) -> None:
        assert controller.wait(timeout=3600) == 0, self.log()

    def log(self) -> str:
        """What the controller and the training said."""
        files = [self.folder / "controller.log", *self.folder.glob("results/*/logs/train*.log")]
        return "\n".join(path.read_text()[-6000:] for path in files)

    def slurm_logs(self) -> str:
        """The logs of SLURM jobs that failed; the executor deletes those of the others."""
        files = sorted((self.folder / ".snakemake/slurm_logs").rglob("*.log"))
        return "\n".join(path.read_text() for path in files)

    def tables(self) -> dict[str, bytes]:
        """All that must have the same bytes wherever it was computed."""
        parts = ("tables", "figures", "scores", "evaluation", "training")
        files = [path for part in parts for path in (self.results / part).rglob("*.*")]
        kept = [path for path in files if path.is_file() and path.name != ".snakemake_timestamp"]
        assert kept
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in sorted(kept)}

    def last_step(self) -> int:
        """The step of the unfinished training's checkpoint, 0 where there is none."""
        marks = self.results.glob("unfinished/train-icrm-seed0/checkpoint-*/whole.json")
        return max((int(mark.parent.name.rpartition("-")[2]) for mark in marks), default=0)

    def went_on_from(self) -> list[int]:
        """The steps of the checkpoints from which attempts of the training went on."""
        last = self.results / "logs/train-icrm-seed0.log"
        return [int(step) for step in re.findall(WENT_ON, self.slurm_logs() + last.read_text())]

    def saved_when_asked(self) -> bool:
        """Whether the last attempt went on from a checkpoint that only a request to stop makes.

        That the one before it said so may be lost: SLURM ends the process that reads its output.
        """
        return self.went_on_from()[-1] % EVERY != 0

    def jobs(self, states: str = "running") -> list[dict[str, str]]:
        """The SLURM jobs of this tree."""
        columns = {"id": "%i", "comment": "%k", "state": "%T", "nodes": "%N", "folder": "%Z"}
        command = [
            "squeue",
            "--noheader",
            f"--states={states}",
            "--format=" + "|".join(columns.values()),
        ]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rows = [dict(zip(columns, line.split("|"), strict=True)) for line in lines.splitlines()]
        return [row for row in rows if row["folder"] == str(self.folder)]

    def minutes_until_a_limit(self, job: dict[str, str]) -> int:
        """A time limit that the job has not reached yet, and soon will."""
        command = ["squeue", "--noheader", "--jobs", job["id"], "--format=%M"]
        elapsed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        minutes, seconds = map(int, elapsed.strip().split(":"))
        return minutes + (1 if seconds < 45 else 2)

    def wait_for_training(
        self, controller: subprocess.Popen, after: dict[str, str] | None = None
    ) -> dict[str, str]:
        """Return the SLURM job of the training once it has written a checkpoint.

        Args:
            after: the job before it; its checkpoints do not count.
        """

        def running() -> list[dict[str, str]]:
            return [job for job in self.jobs() if job["comment"] == TRAIN and job != after]

        wait_until(running, "training", controller, self)
        start = self.last_step()
        wait_until(lambda: self.last_step() > start, "checkpoint", controller, self)
        (job,) = running()  # an attempt before it may have failed
        return job


def environment() -> dict[str, str]:
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": programs, "OMP_NUM_THREADS": "1"}


def wait_until(
    true: Callable[[], object], what: str, controller: subprocess.Popen, tree: Tree
) -> None:
    deadline = time.monotonic() + 1800
    while not true():
        assert controller.poll() is None, f"the run ended before {what}:\n{tree.log()}"
        assert time.monotonic() < deadline, f"no {what}:\n{tree.log()}"
        time.sleep(0.2)


def local_run(tree: Tree, target: str = "all") -> None:
    line = ["snakemake", target, "--cores", "2", "--config", f"experiment={NAME}"]
    result = subprocess.run(
        line, cwd=tree.folder, env=environment(), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
