"""``python -m steps.provenance FILE``: which runs led to a table, a file of scores, a model folder.

Prints the steps from FILE back to the downloads: code, experiment, settings, machine, time, and
every input and output with its SHA-256, from the run cards in results/*/cards and resources. The
hashes are compared with the files that lie there; what differs is named, and the exit code is 1.
Runs in the folder that the workflow ran in.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from steps.errors import UserError, run_command
from steps.provenance.ancestry import Ancestry, Step, ancestry, read_steps


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m steps.provenance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("artefact", type=Path, metavar="FILE", help="file or folder of a step")
    artefact = parser.parse_args().artefact
    if not artefact.exists():
        raise UserError(f"there is no {artefact}; give a file or folder that a step wrote")
    found = ancestry(artefact, read_steps())
    print(describe(found))
    problems = found.problems()
    for problem in problems:
        print(f"NOT AS RECORDED: {problem}")
    if problems:
        raise UserError(
            f"{len(problems)} of the hashes behind {artefact} do not hold (named above); run the "
            "workflow again or restore the files"
        )
    print(f"all files behind {artefact} are those of the run cards")


def describe(found: Ancestry) -> str:
    """Return the steps as text, and the versions of the packages that they ran with."""
    blocks = [_step(number, step) for number, step in enumerate(found.steps, 1)]
    blocks += [f"given, made by no step: {path}" for path in found.given]
    versions: dict[str, list[int]] = {}
    for number, step in enumerate(found.steps, 1):
        ran = step.facts.get("versions", {})
        text = ", ".join(f"{package} {version}" for package, version in ran.items() if version)
        versions.setdefault(text, []).append(number)
    blocks += [f"versions in {_numbers(steps)}: {text}" for text, steps in versions.items()]
    return "\n".join(blocks)


def _step(number: int, step: Step) -> str:
    facts = step.facts
    lines = [
        f"{number}. {facts['step']} ({step.card})",
        f"commit {facts.get('commit')}{_dirty(facts)}",
        _experiment(facts),
        f"seed {facts.get('seed')}, settings {json.dumps(facts.get('settings'), sort_keys=True)}",
        _run(facts),
    ]
    lines += [f"revision {facts['revision']}"] if "revision" in facts else []
    for kind, files in (("output", step.outputs), ("input", step.inputs)):
        lines += [f"{kind} {path} {recorded}" for path, recorded in files.items()]
    return "\n   ".join(lines)


def _experiment(facts: dict[str, Any]) -> str:
    experiment = facts.get("experiment")
    if experiment is None:  # such as a download
        return "no experiment: the step reads none"
    return f"experiment {experiment['title']}, hash {experiment['sha256']}"


def _dirty(facts: dict[str, Any]) -> str:
    changes = {True: " with uncommitted changes", False: ""}
    return changes.get(facts.get("uncommitted_changes"), " (unknown whether files differed)")


def _run(facts: dict[str, Any]) -> str:
    machine = facts.get("machine", {})
    gpus = ", ".join(f"{g['name']} ({g['peak_memory_mb']} MB)" for g in machine.get("gpus", []))
    tokens = facts.get("tokens")
    return (
        f"started {facts['started']}, {facts.get('seconds')} s, "
        f"at most {facts.get('peak_memory_mb')} MB"
        + (f", {tokens:,} tokens" if tokens is not None else "")
        + f", on {machine.get('node')} ({machine.get('processor')}, {machine.get('cores')} cores), "
        + (f"GPU {gpus}" if gpus else "no GPU")
    )


def _numbers(steps: list[int]) -> str:
    return f"step {steps[0]}" if len(steps) == 1 else "steps " + ", ".join(map(str, steps))


if __name__ == "__main__":
    run_command(main)
