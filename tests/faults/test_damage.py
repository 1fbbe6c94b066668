"""Intermediate files that are cut, changed in one bit, made unreadable or taken away."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from steps.files import remove
from tests.damage import cut, flip
from tests.faults.children import running_steps, start, wait_until
from tests.faults.ledger import SAME_BYTES, SENTENCE, Ledger
from tests.pipeline_runs import command, contents, run

pytestmark = pytest.mark.faults

# What is damaged, the whole that its step writes again, and the rule that reads it next.
PLACES = [
    ("resources/models/tiny-16x3-seed0/model.safetensors", -1, "frozen_layers"),
    ("resources/models/tiny-16x3-seed0/config.json", -1, "frozen_layers"),
    ("results/tiny/prepared/train.parquet", 0, "select_groups"),
    ("results/tiny/groups/train.parquet", 0, "make_pairs"),
    ("results/tiny/pairs/train.parquet", 0, "train"),
    ("results/tiny/cache/train/hidden.bin", -1, "train"),
    ("results/tiny/cache/train/index.parquet", -1, "train"),
    ("results/tiny/models/frozen.safetensors", 0, "train"),
    ("results/tiny/models/icrm/seed1/model-00002-of-00002.safetensors", -1, "score"),
    ("results/tiny/scores/orm/seed0/in_distribution.parquet", 0, "evaluate"),
    ("results/tiny/evaluation/metrics.csv", -1, "draw_tables"),
    ("results/tiny/benchmarks/items/example/icrm/seed1.parquet", 0, "benchmark_numbers"),
]


@pytest.mark.parametrize("damage", [cut, flip], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize(("place", "whole", "reader"), PLACES)
def test_damaged_file(
    finished: Path,
    expected: dict[str, bytes],
    ledger: Ledger,
    damage: Callable[[Path], None],
    place: str,
    whole: int,
    reader: str,
) -> None:
    path = finished / place
    before = path.read_bytes()
    damage(path)
    assert path.read_bytes() != before
    ledger.fired(f"{damage.__name__} file", place)
    end = start_again(finished, path.parent if whole else path, reader)
    assert contents(finished) == expected
    ledger.survived(end)


@pytest.mark.parametrize(("place", "whole", "reader"), PLACES)
def test_missing_file(
    finished: Path,
    expected: dict[str, bytes],
    ledger: Ledger,
    place: str,
    whole: int,
    reader: str,
) -> None:
    path = finished / place
    path.unlink()
    ledger.fired("missing file", place)
    end = start_again(finished, path.parent if whole else path, reader)
    assert contents(finished) == expected
    ledger.survived(end)


@pytest.mark.parametrize(("place", "whole", "reader"), PLACES)
def test_unreadable_file(
    finished: Path,
    expected: dict[str, bytes],
    ledger: Ledger,
    place: str,
    whole: int,
    reader: str,
) -> None:
    path = finished / place
    path.chmod(0)
    prefix = [] if os.geteuid() else without_root_rights()
    read = subprocess.run([*prefix, "cat", str(path)], capture_output=True, text=True)
    assert read.returncode != 0 and "Permission denied" in read.stderr, read.stderr
    ledger.fired("unreadable file", place)
    end = start_again(finished, path.parent if whole else path, reader, prefix)
    assert contents(finished) == expected
    ledger.survived(end)


def test_file_damaged_while_a_training_reads_it(
    finished: Path, expected: dict[str, bytes], ledger: Ledger
) -> None:
    """After it was checked: the training's end finds it, and no model is made of it."""
    cache, work = finished / "results/tiny/cache/train", finished / "results/tiny/unfinished"
    process = start(finished, "--forcerun", "train")
    wait_until(lambda: any(work.glob("train-*/run.json")))  # training, with all inputs read
    flip(cache / "hidden.bin")
    assert "steps.train" in running_steps(process.pid)
    ledger.fired("flip file while it is read", "results/tiny/cache/train/hidden.bin")
    assert process.wait() != 0
    end = follow_the_remedy(finished, cache, "train", (finished / "controller.log").read_text())
    assert contents(finished) == expected
    ledger.survived(end)


def without_root_rights() -> list[str]:
    """Return what starts a program for which the modes of files count although it is root's."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is not here, and root may read everything")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def start_again(tree: Path, written: Path, reader: str, prefix: Sequence[str] = ()) -> str:
    """Run the rule that reads the damage; follow the remedy of its sentence; say which end it had.

    Args:
        written: what the step before writes as one output, which the remedy deletes.
        prefix: of the command.
    """
    line = [*prefix, *command("--forcerun", reader)]
    result = subprocess.run(line, cwd=tree, capture_output=True, text=True)
    if result.returncode == 0:
        return SAME_BYTES
    return follow_the_remedy(tree, written, reader, result.stdout + result.stderr)


def follow_the_remedy(tree: Path, written: Path, reader: str, text: str) -> str:
    """Find the sentence in what a failed run has printed, do what it says, and start it again."""
    sentences = re.findall(r"^(?:error|[\w.]+Error): .*$", text, re.MULTILINE)
    assert "Traceback" not in text, text
    assert any(str(written.relative_to(tree)) in sentence for sentence in sentences), text
    remove(written)
    again = run(tree, "--rerun-incomplete", "--forcerun", reader)
    assert again.returncode == 0, again.stdout + again.stderr
    return SENTENCE
