"""Run cards: which commit, configuration, versions and inputs an output came from.

A card is a side file. It holds the times and machine facts, so that the output itself stays
byte-identical from run to run.
"""

import os
import platform
import resource
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from steps.files import sha256, write_json

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "trl",
    "tokenizers",
    "datasets",
    "huggingface_hub",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "matplotlib",
    "math-verify",
    "snakemake",
)


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def code_facts() -> dict[str, Any]:
    """Return which code ran: its commit, whether files differ from it, versions of the packages."""
    changes = _git("status", "--porcelain")
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": None if changes is None else bool(changes),
        "versions": _versions(),
    }


class RunCard:
    """Collects the facts of one run of one step; `write` stores them beside the results."""

    def __init__(self, step: str, settings: Any, seed: int | None = None):
        self.started = time.time()
        self.facts: dict[str, Any] = {"step": step, "settings": settings, "seed": seed}

    def write(
        self, path: Path | None, inputs: list[Path], outputs: list[Path], **facts: Any
    ) -> None:
        """Write the card to ``path`` (nothing if None) with the hashes of inputs and outputs."""
        if path is None:
            return
        self.facts |= facts | code_facts()
        self.facts |= {
            "machine": {
                "node": platform.node(),
                "platform": platform.platform(),
                "processor": processor(),
                "cores": os.cpu_count(),
            },
            "inputs": {str(p): sha256(p) for p in inputs},
            "outputs": {str(p): sha256(p) for p in outputs},
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(time.time() - self.started, 2),
            # Linux counts in KiB.
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        write_json(path, self.facts)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
