"""A cluster for all tests of this folder, and a local run of the experiment to compare with."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline_runs import fresh_tree
from tests.slurm.trees import NAME, Tree, local_run

SCRIPT = Path(__file__).with_name("cluster.sh")


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("starting a SLURM cluster needs root")
    if not (shutil.which("slurmctld") or shutil.which("apt-get")):
        pytest.skip("SLURM is not installed and there is no apt-get to install Debian's packages")
    started = subprocess.run([SCRIPT, "up"], capture_output=True, text=True)
    if started.returncode != 0:  # half a cluster would keep every snakemake here waiting for it
        logs = sorted(Path(os.environ.get("SLURM_LAB_ROOT", "/tmp/slurm-lab")).glob("*.log"))
        ends = [f"{log}:\n{log.read_text(errors='replace')[-2000:]}" for log in logs]
        subprocess.run([SCRIPT, "down"])  # deletes the logs, but no folder of others
    if "cannot install" in started.stderr or "of its own" in started.stderr:
        pytest.skip(started.stderr.strip())
    assert started.returncode == 0, "\n".join([started.stdout + started.stderr, *ends])
    yield
    subprocess.run([SCRIPT, "down"], check=True)


@pytest.fixture(scope="session")
def local(cluster, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The finished run of an undisturbed machine."""
    tree = Tree(fresh_tree(tmp_path_factory.mktemp("local")))
    tree.write_experiment()
    local_run(tree)
    return tree


@pytest.fixture
def cached(local: Tree, tmp_path: Path) -> Tree:
    """A copy of the local run that has everything but trained models and what follows them."""
    folder = tmp_path / "tree"
    shutil.copytree(local.folder, folder, symlinks=True)
    for part in ("models/icrm", "training", "scores", "evaluation", "tables", "figures"):
        shutil.rmtree(folder / "results" / NAME / part)
    return Tree(folder)
