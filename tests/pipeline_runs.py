"""Working trees of the project in which the real Snakemake runs an experiment."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import ROOT

PARTS = [
    "Snakefile",
    "workflow",
    "steps",
    "config",
    "docs",
    "examples",
    "profiles",
    "slurm",
    "environment.yml",
]


def fresh_tree(folder: Path) -> Path:
    """Copy what the workflow needs of the project to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part, follow_symlinks=False)
    return folder


def command(*arguments: str, experiment: str = "tiny") -> list[str]:
    base = [sys.executable, "-m", "snakemake", "--cores", "2"]
    return [*base, *arguments, "--config", f"experiment={experiment}"]


def run(
    folder: Path,
    *arguments: str,
    experiment: str = "tiny",
    environment: Mapping[str, str] = os.environ,
) -> subprocess.CompletedProcess:
    line = command(*arguments, experiment=experiment)
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, env=environment)


def contents(folder: Path) -> dict[str, bytes]:
    """Tables, figures and scores; times and machine facts live elsewhere."""
    files = {}
    for part in ("tables", "figures", "scores", "evaluation", "training", "benchmarks"):
        for path in sorted((folder / "results/tiny" / part).rglob("*.*")):
            if path.is_file() and path.name != ".snakemake_timestamp":
                files[str(path.relative_to(folder))] = path.read_bytes()
    return files
