"""A run in the background, and the steps of the pipeline that it has started."""

import subprocess
import time
from pathlib import Path

from tests.pipeline_runs import command


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """Start a run, in a session of its own, that prints to ``controller.log``."""
    with (folder / "controller.log").open("w") as log:
        return subprocess.Popen(
            command(*arguments),
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_for_step(process: subprocess.Popen, name: str = "steps.", seconds: float = 240) -> None:
    """Wait until a step runs whose name begins so, or the run has ended."""
    deadline = time.monotonic() + seconds
    while not any(step.startswith(name) for step in running_steps(process.pid)):
        assert time.monotonic() < deadline, f"no {name} was started"
        if process.poll() is not None:
            return
        time.sleep(0.02)


def wait_for_the_end(process: subprocess.Popen, seconds: float = 240) -> None:
    """Wait until no step of the run is left."""
    deadline = time.monotonic() + seconds
    while running_steps(process.pid):
        assert time.monotonic() < deadline, "the steps do not end"
        time.sleep(0.1)


def running_steps(session: int) -> list[str]:
    """Return the steps (such as ``steps.train``) that run in a session of processes."""
    steps = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            words = (process / "cmdline").read_text().split("\0")
        except OSError:  # ended in the meantime
            continue
        state, of_session = fields[0], int(fields[3])
        if of_session == session and state != "Z" and "-m" in words[1:2]:
            steps += [word for word in words[2:3] if word.startswith("steps.")]
    return sorted(steps)
