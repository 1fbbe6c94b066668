"""A run in the background, and the steps of the pipeline that it has started."""

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.pipeline_runs import command


def start(folder: Path, *arguments: str, prefix: Sequence[str] = ()) -> subprocess.Popen:
    """Start a run, in a session of its own, that prints to ``controller.log``.

    Args:
        prefix: of the command.
    """
    with (folder / "controller.log").open("w") as log:
        return subprocess.Popen(
            [*prefix, *command(*arguments)],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_for_step(process: subprocess.Popen, name: str = "steps.") -> None:
    """Wait until a step runs whose name begins so, or the run has ended."""
    wait_until(
        lambda: (
            any(step.startswith(name) for step in running_steps(process.pid))
            or process.poll() is not None
        )
    )


def wait_for_steps(process: subprocess.Popen, number: int) -> None:
    """Wait until so many steps have begun, one after another or at once, or the run has ended."""
    seen: set[int] = set()

    def enough() -> bool:
        seen.update(_steps(process.pid))
        return len(seen) >= number or process.poll() is not None

    wait_until(enough)


def wait_for_the_end(process: subprocess.Popen) -> None:
    """Wait until no step of the run is left."""
    wait_until(lambda: not running_steps(process.pid))


def wait_until(condition: Callable[[], bool], seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain"
        time.sleep(0.02)


def running_steps(session: int) -> list[str]:
    """Return the steps (such as ``steps.train``) that run in a session of processes."""
    return sorted(_steps(session).values())


def _steps(session: int) -> dict[int, str]:
    """Return the steps by their process."""
    steps = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            words = (process / "cmdline").read_text().split("\0")
        except OSError:  # ended in the meantime
            continue
        state, of_session = fields[0], int(fields[3])
        if of_session != session or state == "Z" or "-m" not in words[1:2]:
            continue
        if words[2].startswith("steps."):
            steps[int(process.name)] = words[2]
    return steps
