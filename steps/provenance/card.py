"""Run cards: which commit, configuration, versions and inputs an output came from.

A card is a side file. It holds the times and machine facts, so that the output itself stays
byte-identical from run to run.
"""

import hashlib
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from steps.config import Experiment
from steps.files import sha256, write_json
from steps.provenance.inputs import Inputs

ROOT = Path(__file__).resolve().parents[2]
STATUS = Path("/proc/self/status")
PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "trl",
    "tokenizers",
    "safetensors",
    "datasets",
    "huggingface_hub",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "statsmodels",
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


def _changes() -> str | None:
    """Return what differs from the commit, but for the files that say what a cluster has.

    They are there to be edited, and change no result.
    """
    # Without the lock that would refresh git's index: a commit of the user's fails meanwhile.
    command = ("--no-optional-locks", "status", "--porcelain")
    return _git(*command, "--", ".", ":(exclude)workflow/profiles/slurm")


def code_facts() -> dict[str, Any]:
    """Return which code ran: its commit, whether files differ from it, versions of the packages."""
    changes = _changes()
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": None if changes is None else bool(changes),
        "versions": _versions(),
    }


class RunCard:
    """Collects the facts of one run of one step; `write` stores them beside the results.

    To be opened before the step reads its inputs: one that is damaged is refused before hours are
    spent on it, and before its content can trip whatever reads it.

    Args:
        settings: what the step read of the experiment.
        path: of the card; None: neither is it written nor are the inputs checked. Of several
            processes of a training the first one does both.
        inputs: files and folders of other steps or the user. What is not there is left to what
            reads it, which knows the remedy.
        experiment: the whole of it, of which title and hash are noted.

    Raises:
        UserError: an input is not what its own step wrote.
    """

    def __init__(
        self,
        step: str,
        settings: Any,
        seed: int | None = None,
        *,
        path: Path | None,
        inputs: Iterable[Path] = (),
        experiment: Experiment | None = None,
    ):
        self.started = time.time()
        self.facts: dict[str, Any] = {"step": step, "settings": settings, "seed": seed}
        self.facts["experiment"] = _content(experiment) if experiment else None
        # Now, for while a long job runs, its user may commit the next change.
        self.facts |= code_facts()

        first = os.environ.get("RANK", "0") == "0"  # set where there are several
        self.path, self.inputs, self._checked = path if first else None, list(inputs), Inputs()
        if self.path is not None:
            self._checked.check(each for each in self.inputs if each.exists())

    def write(self, outputs: list[Path], **facts: Any) -> None:
        """Write the card, if it has a path, with the hashes of inputs and outputs.

        Time and memory are those of this process: of an interrupted job, those since it went on.

        Args:
            facts: what else the step has to tell, or knows of step, settings and seed by now.

        Raises:
            UserError: an input has changed since the card was opened. The workflow then deletes the
                outputs, so nothing is made of it.
        """
        if self.path is None:
            return
        self.facts |= facts | {
            "machine": {
                "node": platform.node(),
                "platform": platform.platform(),
                "processor": processor(),
                "cores": os.cpu_count(),
                "gpus": _gpus(),
                # Of torchrun or srun; the first one writes the card, each has as many GPUs.
                "processes": int(os.environ.get("WORLD_SIZE", 1)),
            },
            "inputs": self._checked.check(self.inputs),
            "outputs": {str(p): sha256(p) for p in outputs},
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(time.time() - self.started, 2),
            "peak_memory_mb": _peak_memory_mb(),
        }
        write_json(self.path, self.facts)


def _content(experiment: Experiment) -> dict[str, str]:
    """Return title and hash of an experiment with its defaults: comments do not count."""
    text = experiment.model_dump_json()
    return {"title": experiment.title, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _peak_memory_mb() -> int | None:
    """Return the most memory that this process has had, MiB; None where the system does not tell.

    Of `getrusage` it would be at least what the process had that started this one.
    """
    try:
        status = STATUS.read_text()
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) // 1024 if found else None


def _gpus() -> list[dict[str, Any]]:
    """Return the GPUs that this process has computed on, with the most memory it took there."""
    torch = sys.modules.get("torch")  # a step without it has used none
    if torch is None or not torch.cuda.is_initialized():
        return []
    peaks = {n: torch.cuda.max_memory_allocated(n) for n in range(torch.cuda.device_count())}
    return [
        {"name": torch.cuda.get_device_name(n), "peak_memory_mb": peak >> 20}
        for n, peak in peaks.items()
        if peak
    ]


def processor() -> str:
    """Return the name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
