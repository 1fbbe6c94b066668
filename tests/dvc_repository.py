"""A git repository with the project's files, in which the tiny experiment runs under DVC."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.pipeline_runs import command, fresh_tree

GIT = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
STAGE = "select_groups"  # the fourth stage: all before it are cheap too
TARGET = "results/tiny/groups/train.parquet"  # what it makes, for Snakemake


def make_repository(folder: Path) -> Path:
    """Commit the project's files, with the ``dvc.yaml`` of the tiny experiment."""
    (folder / ".dvc").mkdir(parents=True)
    fresh_tree(folder)
    for name in (".dvc/config", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    call(folder, "git", "init", "--quiet")
    steps_dvc(folder, "stages")
    commit(folder)
    return folder


def call(folder: Path, *line: str, expect: int = 0, **variables: str) -> str:
    """Run a command; return what it printed."""
    environment = os.environ | {
        "CI": "1",  # no question is asked
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DVC_SITE_CACHE_DIR": str(folder.parent / "site"),
        "DVC_GLOBAL_CONFIG_DIR": str(folder.parent / "config"),
    }
    result = subprocess.run(
        line, cwd=folder, capture_output=True, text=True, env=environment | variables
    )
    printed = result.stdout + result.stderr
    assert result.returncode == expect, f"{' '.join(line)}: {printed}"
    return printed


def dvc(folder: Path, *arguments: str, expect: int = 0, **variables: str) -> str:
    line = [sys.executable, "-m", "dvc", *arguments]
    return call(folder, *line, expect=expect, **variables)


def steps_dvc(folder: Path, what: str, expect: int = 0) -> str:
    line = [sys.executable, "-m", "steps.dvc", what, "--experiment", "tiny"]
    return call(folder, *line, expect=expect)


def snakemake(folder: Path, *arguments: str) -> str:
    return call(folder, *command(*arguments))


def commit(folder: Path) -> None:
    call(folder, *GIT, "add", "--all")
    call(folder, *GIT, "commit", "--quiet", "--message", "state")


def change(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
