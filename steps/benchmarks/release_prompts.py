"""``python -m steps.benchmarks.release_prompts``: the prompts of the release's policies.

The release takes them from RewardBench before its authors filtered it, some to train policies on,
others to test them on. Here each prompt stands once in a split, in the release's order; prompts
that are in both leave the training when pairs are selected (`steps.preferences`).
"""

import argparse
import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from steps.benchmarks.registry import BENCHMARKS
from steps.config import load_experiment
from steps.errors import UserError, run_command
from steps.files import write_json
from steps.groups.raw import RawTable
from steps.groups.schema import PromptGroup, write_groups
from steps.outputs import check_outputs
from steps.provenance import RunCard

COMMAND = "python -m steps.download prompts"
DIGITS = 16  # of the hash that names a prompt


def main() -> None:
    arguments = _parser().parse_args()
    read = [arguments.experiment, arguments.raw, arguments.hashes]
    check_outputs([arguments.card], read, arguments.output)
    experiment = load_experiment(arguments.experiment)
    prompts = experiment.policy.prompts
    card = RunCard(
        "release prompts",
        prompts.model_dump(),
        path=arguments.card,
        inputs=[arguments.raw, arguments.hashes],
        experiment=experiment,
    )
    rows = rewardbench_prompts(arguments.raw / "raw.parquet")
    wanted = read_hashes(arguments.hashes)
    report = {}
    for split, hashes in wanted.items():
        missing = [each for each in hashes if each not in rows]
        found = len(hashes) - len(missing)
        print(f"{split}: {found:,} of {len(hashes):,} prompts of the release", file=sys.stderr)
        if found < prompts.least_share * len(hashes):
            raise UserError(
                f"{arguments.raw}: only {found:,} of the release's {len(hashes):,} prompts for "
                f"'{split}' are there; fetch another commit with policy.prompts.revision"
            )
        report[split] = {"wanted": len(hashes), "found": found, "missing": missing}
    outputs = [arguments.output / f"{split}.parquet" for split in wanted]
    for path, hashes in zip(outputs, wanted.values(), strict=True):
        write_groups(path, [rows[each] for each in hashes if each in rows])
    write_json(arguments.output / "report.json", report)
    card.write([*outputs, arguments.output / "report.json"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m steps.benchmarks.release_prompts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    parser.add_argument("--raw", type=Path, required=True, help=f"folder of `{COMMAND}`")
    parser.add_argument("--hashes", type=Path, required=True, help="which prompts (TSV)")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="folder for train.parquet, test.parquet (groups) and report.json",
    )
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")
    return parser


def rewardbench_prompts(path: Path) -> dict[str, PromptGroup]:
    """Return a group for every distinct prompt of the unfiltered rows, by the prompt's hash.

    Its response is the row's chosen one: a group has one, and nothing here reads it.

    Raises:
        UserError: the file is missing or damaged, or a row is not as it should be.
    """
    benchmark = BENCHMARKS["rewardbench"]
    table = RawTable(path, benchmark.columns, COMMAND)
    found: dict[str, PromptGroup] = {}
    for number, row in table.take(np.arange(table.rows)):
        group = benchmark.group(row, f"{path}: row {number}")
        digest = hashlib.sha256(group.prompt.encode()).hexdigest()[:DIGITS]
        own = replace(group, group_id=digest, responses=group.responses[:1])
        found.setdefault(digest, own)
    return found


def read_hashes(path: Path) -> dict[str, list[str]]:
    """Return the hashes of the prompts of each split, in the file's order."""
    table = pd.read_csv(path, sep="\t", comment="#", dtype=str)
    return {split: part["sha256_16"].tolist() for split, part in table.groupby("split")}


if __name__ == "__main__":
    run_command(main)
