"""A download that is killed while a file comes in, and what was there of it cut."""

from pathlib import Path

import pytest

from tests.damage import cut
from tests.faults.children import wait_until
from tests.faults.ledger import SAME_BYTES, Ledger
from tests.hub import Repository, serve
from tests.test_hub import experiment

pytestmark = pytest.mark.faults

LARGE = "model-00002-of-00002.safetensors"
SIZE = 24 << 20  # the client writes ten megabytes at a time


def test_a_killed_download_begins_anew(backbone: Path, tmp_path: Path, ledger: Ledger) -> None:
    files = {path.name: path.read_bytes() for path in backbone.iterdir()} | {LARGE: bytes(SIZE)}
    file = experiment(tmp_path, backbone={"source": "hub", "id": "some/tiny"})
    line = ["steps.download", "model", "--experiment", str(file), "--output", str(tmp_path / "out")]
    with serve() as hub:
        hub.repositories["models/some/tiny"] = Repository(files, held={LARGE})
        killed = hub.start(tmp_path, *line)
        wait_until(lambda: any(part.stat().st_size for part in parts(tmp_path)))
        killed.kill()
        killed.communicate()
        ledger.fired("SIGKILL of a download", "steps.download")
        for part in parts(tmp_path):
            cut(part)
        hub.go_on.set()
        assert not (tmp_path / "out").exists()
        result = hub.run(tmp_path, *line)
    assert result.returncode == 0, result.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == files
    assert not list(tmp_path.rglob("*.part"))
    ledger.survived(SAME_BYTES)


def parts(folder: Path) -> list[Path]:
    """What the client has received of files that are not whole."""
    return list(folder.rglob("*.incomplete"))
