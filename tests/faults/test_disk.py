"""A disk that is full at several moments of the run: a small file system in memory."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.ledger import SENTENCE, Ledger
from tests.pipeline_runs import contents, fresh_tree, run

# Of the bytes that an undisturbed run leaves.
SHARES = [0.02, 0.1, 0.3, 0.6, 0.9]

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root"),
]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A tree whose results lie on a disk of their own."""
    folder = fresh_tree(tmp_path)
    disk = folder / "results"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine does not let the tests mount a disk")
    yield folder
    subprocess.run(["umount", str(disk)], check=True)


def resize(tree: Path, size: int) -> None:
    command = ["mount", "-o", f"remount,size={size}", str(tree / "results")]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("share", SHARES)
def test_full_disk(
    mounted: Path, undisturbed: Path, expected: dict[str, bytes], ledger: Ledger, share: float
) -> None:
    files = [path for path in (undisturbed / "results").rglob("*") if path.is_file()]
    whole = sum(path.stat().st_size for path in files)
    resize(mounted, int(share * whole))
    result = run(mounted)
    text = result.stdout + result.stderr
    assert result.returncode != 0
    ledger.fired("full disk", f"at {share:.0%} of the results")
    # The step's own sentence: `tee`, which keeps its log there, complains, too.
    assert re.search(r"^error: cannot use results/.*: No space left on device; free", text, re.M), (
        text
    )
    assert "Traceback" not in text, text
    resize(mounted, 8 * whole)
    again = run(mounted, "--rerun-incomplete")
    assert again.returncode == 0, again.stdout + again.stderr
    assert contents(mounted) == expected
    assert not list(mounted.rglob("*.part"))
    ledger.survived(SENTENCE)
