"""Two runs of one experiment at once."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.children import start, wait_for_step
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
    line = [sys.executable, "-m", "steps.train", "model", *given]
    trainings = [
        subprocess.Popen(
            [
                *line,
                "--output",
                str(finished / name),
                "--training-log",
                str(finished / name) + ".csv",
            ],
            cwd=finished,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for name in ("one", "two")
    ]
    ledger.fired("two writers", "the second one")
    said = [training.communicate()[1] for training in trainings]
    codes = sorted(training.returncode for training in trainings)
    assert codes == [0, 1], said
    (refused,) = (text for text, t in zip(said, trainings, strict=True) if t.returncode)
    assert re.search(r"^error: process \d+ on .* is writing .*/work ", refused, re.M), refused
    assert "Traceback" not in refused
    (written,) = (name for name in ("one", "two") if (finished / name).is_dir())
    weights = "model-00002-of-00002.safetensors"
    model = results / "models/icrm/seed0"
    assert (finished / written / weights).read_bytes() == (model / weights).read_bytes()
    assert contents(finished) == expected
    ledger.survived(SENTENCE)
