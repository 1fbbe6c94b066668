"""An undisturbed run to compare with, and the ledger of all faults."""

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pipeline_runs import contents, fresh_tree, run

# What a fault came to. Anything else fails the test.
SAME_BYTES = "went on, same bytes"
SENTENCE = "one sentence; its remedy, same bytes"


class Ledger:
    """Counts the faults: (kind of fault, what it hit, what it came to)."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str]] = []

    def add(self, kind: str, place: str, end: str) -> None:
        self.entries.append((kind, place, end))

    def markdown(self) -> str:
        """Return a table with a row for each kind of fault."""
        counts = Counter((kind, end) for kind, _, end in self.entries)
        lines = [f"| fault | tried | {SAME_BYTES} | {SENTENCE} | lost |", "|---|---|---|---|---|"]
        for kind in dict.fromkeys(kind for kind, _, _ in self.entries):
            tried = sum(n for (k, _), n in counts.items() if k == kind)
            same, told = counts[kind, SAME_BYTES], counts[kind, SENTENCE]
            lines.append(f"| {kind} | {tried} | {same} | {told} | {tried - same - told} |")
        return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def ledger() -> Iterator[Ledger]:
    """Written to ``results/faults`` at the end: the table, and each fault with what it hit."""
    record = Ledger()
    yield record
    folder = ROOT / "results/faults"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "faults.md").write_text(record.markdown())
    (folder / "faults.json").write_text(json.dumps(record.entries, indent=1) + "\n")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fresh_tree(tmp_path_factory.mktemp("undisturbed"))
    result = run(folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture(scope="session")
def expected(undisturbed: Path) -> dict[str, bytes]:
    """The bytes of every table, figure and score."""
    return contents(undisturbed)


@pytest.fixture
def finished(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of the finished tree; its files' second names are second names in the copy, too."""
    folder = tmp_path / "tree"
    subprocess.run(["cp", "-a", str(undisturbed), str(folder)], check=True)
    return folder
