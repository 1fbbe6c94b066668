"""The steps that led to an artefact, from their run cards, and whether the files are still those.

Cards name files relative to the folder that the workflow ran in; so does everything here.
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from steps.errors import UserError
from steps.files import read_json, sha256

CARDS = ("results/*/cards/**/*.json", "resources/**/card.json", "resources/**/*.card.json")
MADE = ("results", "resources")  # all that lies in these folders was made by a step


@dataclass(frozen=True)
class Step:
    """One run of one step: its card, and the hashes there by path."""

    card: str
    facts: dict[str, Any]
    inputs: dict[str, str]
    outputs: dict[str, str]


@dataclass(frozen=True)
class Ancestry:
    """The steps that led to an artefact, each behind all that read its outputs."""

    steps: list[Step]
    given: list[str]  # inputs that no step made

    def problems(self) -> list[str]:
        """Return what is not as the cards say, a sentence each."""
        found = [
            f"{path} was made by a step whose run card is not here"
            for path in self.given
            if Path(path).parts[0] in MADE
        ]
        for step in self.steps:
            for verb, files in (("wrote", step.outputs), ("read", step.inputs)):
                for path, recorded in files.items():
                    if not Path(path).exists():
                        found.append(f"{path} is not there, which the step of {step.card} {verb}")
                    elif hash_on_disk(path) != recorded:
                        found.append(f"{path} has changed since the step of {step.card} {verb} it")
        return found


def read_steps() -> list[Step]:
    """Return every step that has a card, newest first.

    Raises:
        UserError: a file among the cards is none.
    """
    files = {file for pattern in CARDS for file in Path().glob(pattern)}
    steps = [_read(file) for file in sorted(files)]
    return sorted(steps, key=lambda step: step.facts["started"], reverse=True)


def _read(file: Path) -> Step:
    facts = read_json(file)
    if not isinstance(facts, dict) or not {"step", "started", "inputs", "outputs"} <= facts.keys():
        raise UserError(f"{file} is no run card; move it away or run its step again")
    inputs, outputs = (
        {normal_path(p): h for p, h in facts[key].items()} for key in ("inputs", "outputs")
    )
    return Step(str(file), facts, inputs, outputs)


def ancestry(artefact: Path, steps: list[Step]) -> Ancestry:
    """Follow the inputs of ``artefact`` back to what no step made.

    Raises:
        UserError: no card names the artefact.
    """
    visited: set[str] = set()
    first_to_last: list[Step] = []
    given: dict[str, None] = {}

    def visit(path: str) -> None:
        makers = _makers(path, steps)
        if not makers:
            given[path] = None
        for step in makers:
            if step.card not in visited:
                visited.add(step.card)
                for read in step.inputs:
                    visit(read)
                first_to_last.append(step)

    visit(normal_path(artefact))
    if not first_to_last:
        raise UserError(
            f"no run card names {artefact} as an output; give a file or folder that a step wrote, "
            "in the folder that the workflow ran in"
        )
    return Ancestry(first_to_last[::-1], list(given))


def _makers(path: str, steps: list[Step]) -> list[Step]:
    """Return the steps that wrote ``path``, the folder that it lies in, or files in it.

    Several experiments may have written the same file, such as a download; then it is the one
    whose output lies there now, else the last.
    """
    makers: dict[str, Step] = {}
    for step in steps:
        for output in step.outputs:
            if _inside(path, output) or _inside(output, path):
                known = makers.setdefault(output, step)
                if known is not step and _stands(step, output) and not _stands(known, output):
                    makers[output] = step
    return list({step.card: step for step in makers.values()}.values())


def _stands(step: Step, output: str) -> bool:
    return Path(output).exists() and hash_on_disk(output) == step.outputs[output]


@cache
def hash_on_disk(path: str) -> str:
    """Return the hash of a file or folder, computed once per process."""
    return sha256(Path(path))


def normal_path(path: Path | str) -> str:
    """Return a path as cards of this folder name it; one that lies elsewhere stays absolute."""
    near = os.path.relpath(path)
    return os.path.abspath(path) if near.startswith("..") else near


def _inside(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)
