"""SIGKILL of the whole run at random moments, and of the controller alone."""

import os
import random
import re
import signal
import time
from pathlib import Path

import pytest

from tests.faults.children import (
    running_steps,
    start,
    wait_for_step,
    wait_for_steps,
    wait_for_the_end,
)
from tests.faults.ledger import SAME_BYTES, SENTENCE, Ledger
from tests.pipeline_runs import contents, fresh_tree, run

pytestmark = pytest.mark.faults

KILLS = 20
SEED = 0


def test_killed_at_random_moments(
    tmp_path: Path, expected: dict[str, bytes], ledger: Ledger
) -> None:
    """A run that comes to its end before all kills have fired is followed by one in a new tree."""
    random_numbers = random.Random(SEED)
    hit: list[str] = []
    trees = [fresh_tree(tmp_path / "0")]
    while len(hit) < KILLS:
        folder = trees[-1]
        process = start(folder, "--rerun-incomplete")
        # A number of steps and not of seconds, so that a slow machine gets as far.
        wait_for_steps(process, random_numbers.randint(1, 5))
        time.sleep(random_numbers.uniform(0, 3))
        steps = running_steps(process.pid)
        if process.poll() is not None:
            assert process.returncode == 0, (folder / "controller.log").read_text()
            trees.append(fresh_tree(tmp_path / str(len(trees))))
            continue
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # Between two steps nothing computes: such a kill is survived, but does not count.
        if steps:
            hit.append(" and ".join(steps))
            ledger.fired("SIGKILL of the run", hit[-1])
        assert run(folder, "--unlock").returncode == 0
    for folder in trees:
        result = run(folder, "--rerun-incomplete")
        assert result.returncode == 0, result.stdout + result.stderr
        assert contents(folder) == expected
        assert not list(folder.rglob("*.part"))
    assert len(set(hit)) >= 4, hit  # they hit different stages
    ledger.survived(SAME_BYTES)


@pytest.mark.parametrize(
    ("rule", "step"), [("train", "steps.train"), ("score", "steps.score.cached_sets")]
)
def test_only_the_controller_is_killed(
    finished: Path, expected: dict[str, bytes], ledger: Ledger, rule: str, step: str
) -> None:
    """Its steps live on beside those of the next controller, and may write the same files."""
    first = start(finished, "--forcerun", rule)
    wait_for_step(first, step)
    first.kill()
    first.wait()
    assert step in running_steps(first.pid)
    ledger.fired("SIGKILL of the controller alone", step)
    assert run(finished, "--unlock").returncode == 0
    line = ("--rerun-incomplete", "--forcerun", rule)
    end, again = SAME_BYTES, run(finished, *line)
    wait_for_the_end(first)
    if again.returncode:
        end, text = SENTENCE, again.stdout + again.stderr
        assert re.search(r"^error: process \d+ on .* is writing ", text, re.M), text
        assert "Traceback" not in text, text
        again = run(finished, *line)
    assert again.returncode == 0, again.stdout + again.stderr
    assert contents(finished) == expected
    assert not list(finished.rglob("*.part"))
    ledger.survived(end)
