"""An undisturbed run to compare with, and the ledger of all faults."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.faults.ledger import Ledger
from tests.pipeline_runs import contents, fresh_tree, run


@pytest.fixture
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """Keeps what the test tries and what comes of it in ``results/faults``."""
    return Ledger(ROOT / "results/faults", request.node.nodeid)


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
