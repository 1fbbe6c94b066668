"""Intermediate files that are cut, changed in one bit, made unreadable or taken away.

Each while the step runs that reads them: before it has read, meanwhile, or after.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from steps.files import remove
from tests.damage import cut, flip
from tests.faults.children import running_steps, start, wait_for_step, wait_until
from tests.faults.ledger import SAME_BYTES, SENTENCE, Ledger
from tests.pipeline_runs import contents, run

pytestmark = pytest.mark.faults

MODEL, TINY = "resources/models/tiny-16x3-seed0", "results/tiny"
CACHE, TRAINED = f"{TINY}/cache/train", f"{TINY}/models/icrm/seed1"
SCORES = f"{TINY}/scores/orm/seed0/in_distribution.parquet"
ITEMS = f"{TINY}/benchmarks/items/example"

# What is damaged, the output of its rule that it is or lies in, and the rule that reads it next.
PLACES = [
    (f"{MODEL}/model.safetensors", MODEL, "frozen_layers"),
    (f"{MODEL}/config.json", MODEL, "frozen_layers"),
    (f"{TINY}/prepared/train.parquet", f"{TINY}/prepared", "select_groups"),
    (f"{TINY}/groups/train.parquet", f"{TINY}/groups/train.parquet", "make_pairs"),
    (f"{TINY}/pairs/train.parquet", f"{TINY}/pairs/train.parquet", "train"),
    (f"{CACHE}/hidden.bin", CACHE, "train"),
    (f"{CACHE}/index.parquet", CACHE, "train"),
    (f"{TINY}/models/frozen.safetensors", f"{TINY}/models/frozen.safetensors", "train"),
    (f"{TRAINED}/model-00002-of-00002.safetensors", TRAINED, "score"),
    (SCORES, SCORES, "evaluate"),
    (f"{TINY}/evaluation/metrics.csv", f"{TINY}/evaluation", "draw_tables"),
    (f"{ITEMS}/icrm/seed1.parquet", ITEMS, "benchmark_numbers"),
]


@pytest.mark.parametrize("damage", [cut, flip], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize(("place", "output", "reader"), PLACES)
def test_damaged_file(
    finished: Path,
    expected: dict[str, bytes],
    ledger: Ledger,
    damage: Callable[[Path], None],
    place: str,
    output: str,
    reader: str,
) -> None:
    path = finished / place
    before = path.read_bytes()
    process = start_reader(finished, reader)
    damage(path)
    fired(ledger, f"{damage.__name__} file", place, process)
    assert path.read_bytes() != before
    end = end_of(process, finished, place, output, reader)
    assert path.read_bytes() == before
    assert contents(finished) == expected
    ledger.survived(end)


@pytest.mark.parametrize(("place", "output", "reader"), PLACES)
def test_missing_file(
    finished: Path,
    expected: dict[str, bytes],
    ledger: Ledger,
    place: str,
    output: str,
    reader: str,
) -> None:
    path = finished / place
    before = path.read_bytes()
    process = start_reader(finished, reader)
    path.unlink()
    fired(ledger, "missing file", place, process)
    end = end_of(process, finished, place, output, reader)
    assert path.read_bytes() == before
    assert contents(finished) == expected
    ledger.survived(end)


@pytest.mark.parametrize(("place", "output", "reader"), PLACES)
def test_unreadable_file(
    finished: Path,
    expected: dict[str, bytes],
    ledger: Ledger,
    place: str,
    output: str,
    reader: str,
) -> None:
    path = finished / place
    prefix = [] if os.geteuid() else without_root_rights()
    process = start_reader(finished, reader, prefix)
    path.chmod(0)
    fired(ledger, "unreadable file", place, process)
    read = subprocess.run([*prefix, "cat", str(path)], capture_output=True, text=True)
    assert read.returncode != 0 and "Permission denied" in read.stderr, read.stderr
    end = end_of(process, finished, place, output, reader)
    assert contents(finished) == expected
    ledger.survived(end)


def test_file_damaged_while_a_training_reads_it(
    finished: Path, expected: dict[str, bytes], ledger: Ledger
) -> None:
    """After it was checked: the training's end finds it, and nothing that learnt from it stays."""
    place, work = f"{CACHE}/hidden.bin", finished / "results/tiny/unfinished"
    process = start(finished, "--forcerun", "train")
    wait_until(lambda: any(work.glob("train-*/run.json")))  # training, with all inputs read
    flip(finished / place)
    assert "steps.train" in running_steps(process.pid)
    ledger.fired("flip file while it is read", place)
    assert process.wait() != 0
    assert not list(work.rglob("checkpoint-*"))
    end = end_of(process, finished, place, CACHE, "train")
    assert contents(finished) == expected
    ledger.survived(end)


def without_root_rights() -> list[str]:
    """Return what starts a program for which the modes of files count although it is root's."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is not here, and root may read everything")
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"root may read everything, and cannot drop that here: {tried.stderr.strip()}")
    return prefix


def start_reader(tree: Path, reader: str, prefix: Sequence[str] = ()) -> subprocess.Popen:
    """Run the rule anew, and return once its step has begun.

    Args:
        prefix: of the command.
    """
    process = start(tree, "--forcerun", reader, prefix=prefix)
    wait_for_step(process)
    return process


def fired(ledger: Ledger, kind: str, place: str, process: subprocess.Popen) -> None:
    """Note a fault that has hit while a step was running."""
    steps = running_steps(process.pid)
    assert steps
    ledger.fired(kind, f"{place}, while {' and '.join(steps)} ran")


def end_of(process: subprocess.Popen, tree: Path, place: str, output: str, reader: str) -> str:
    """Wait for a run that was hit; follow the remedy of its sentence; say which end it had.

    Args:
        place, output: see `PLACES`.
    """
    if process.wait() == 0:
        return SAME_BYTES
    text = (tree / "controller.log").read_text()
    return follow_the_remedy(tree, place, output, reader, text)


def follow_the_remedy(tree: Path, place: str, output: str, reader: str, text: str) -> str:
    """Find the sentence in what a failed run has printed, do what it says, and start it again.

    It names the file whose permissions are to be fixed, or the output that is to be deleted: a file
    in that, deleted by itself, would not be missed.
    """
    assert "Traceback" not in text, text
    sentences = "\n".join(re.findall(r"^(?:error|[\w.]+Error): .*$", text, re.MULTILINE))
    if f"cannot use {place}: Permission denied; fix the permissions" in sentences:
        (tree / place).chmod(0o644)
    else:
        assert re.search(rf"{re.escape(output)}(?![\w./-])", sentences), text
        remove(tree / output)
    again = run(tree, "--rerun-incomplete", "--forcerun", reader)
    assert again.returncode == 0, again.stdout + again.stderr
    return SENTENCE
