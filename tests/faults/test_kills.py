"""SIGKILL of the whole run, controller and steps, at random moments."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.children import running_steps
from tests.faults.conftest import SAME_BYTES, Ledger
from tests.pipeline_runs import command, contents, fresh_tree, run

pytestmark = pytest.mark.faults

KILLS = 20
SEED = 0


def test_killed_at_random_moments(
    tmp_path: Path, expected: dict[str, bytes], ledger: Ledger
) -> None:
    folder = fresh_tree(tmp_path)
    random_numbers = random.Random(SEED)
    hit: list[str] = []
    while len(hit) < KILLS:
        with (folder / "controller.log").open("w") as log:
            process = subprocess.Popen(
                command("--rerun-incomplete"),
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for_step(process)
        # From a step's first moment to the middle of what comes after it.
        time.sleep(random_numbers.uniform(0, 12))
        steps = running_steps(process.pid)
        ended = process.poll() is not None
        if not ended:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert run(folder, "--unlock").returncode == 0
        assert not ended, f"finished after {len(hit)} kills; let them come earlier"
        # Between two steps nothing computes: such a kill is survived, but does not count.
        if steps:
            hit.append(" and ".join(steps))
    result = run(folder, "--rerun-incomplete")
    assert result.returncode == 0, result.stdout + result.stderr
    assert contents(folder) == expected
    assert not list(folder.rglob("*.part"))
    assert len(set(hit)) >= 4, hit  # they hit different stages
    for steps in hit:
        ledger.add("SIGKILL of the run", steps, SAME_BYTES)


def wait_for_step(process: subprocess.Popen, seconds: float = 120) -> None:
    """Wait until a step runs."""
    deadline = time.monotonic() + seconds
    while not running_steps(process.pid):
        assert time.monotonic() < deadline, "no step was started"
        if process.poll() is not None:
            return
        time.sleep(0.02)
