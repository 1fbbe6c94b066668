"""Two runs of one experiment at once."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.children import start, wait_for_step, wait_until
from tests.faults.ledger import SENTENCE, Ledger
from tests.pipeline_runs import contents, fresh_tree, run

pytestmark = pytest.mark.faults


def test_the_second_controller_is_refused(
    tmp_path: Path, expected: dict[str, bytes], ledger: Ledger
) -> None:
    folder = fresh_tree(tmp_path)
    first = start(folder)
    wait_for_step(first)
    ledger.fired("two controllers", "the second one")
    second = run(folder)
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout + second.stderr
    assert first.wait() == 0, (folder / "controller.log").read_text()
    assert contents(folder) == expected
    ledger.survived(SENTENCE)


def test_the_second_writer_is_refused(
    finished: Path, expected: dict[str, bytes], ledger: Ledger
) -> None:
    """Where Snakemake's lock is off, the steps' own one stands."""
    results = finished / "results/tiny"
    arguments = {
        "experiment": finished / "config/tiny.yaml",
        "backbone": finished / "resources/models/tiny-16x3-seed0",
        "groups": results / "groups/train.parquet",
        "pairs": results / "pairs/train.parquet",
        "cache": results / "cache/train",
        "frozen": results / "models/frozen.safetensors",
        "work": finished / "work",
        "method": "icrm",
        "seed": 0,
    }
    given = [part for name, value in arguments.items() for part in (f"--{name}", str(value))]

    def train(name: str) -> subprocess.Popen:
        output = finished / name
        line = [sys.executable, "-m", "steps.train", "model", *given, "--output", str(output)]
        return subprocess.Popen(
            [*line, "--training-log", f"{output}.csv"],
            cwd=finished,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )

    first, lock = train("one"), finished / "work.lock"
    wait_until(lambda: (lock.is_file() and lock.read_text()) or first.poll() is not None)
    first.send_signal(signal.SIGSTOP)  # it takes moments, and shall still be there for the second
    try:
        assert first.poll() is None and json.loads(lock.read_text())["pid"] == first.pid
        second = train("two")
        ledger.fired("two writers", "the second one")
        _, refused = second.communicate()
    finally:
        first.send_signal(signal.SIGCONT)
    assert second.returncode == 1, refused
    assert re.search(rf"^error: process {first.pid} on .* is writing .*/work ", refused, re.M)
    assert "Traceback" not in refused
    _, said = first.communicate()
    assert first.returncode == 0, said
    again = train("two")
    _, said = again.communicate()
    assert again.returncode == 0, said
    weights = "model-00002-of-00002.safetensors"
    model = results / "models/icrm/seed0"
    for name in ("one", "two"):
        assert (finished / name / weights).read_bytes() == (model / weights).read_bytes()
    assert contents(finished) == expected
    ledger.survived(SENTENCE)
