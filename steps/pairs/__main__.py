"""``python -m steps.pairs``: all (better, worse) pairs of each prompt group."""

import argparse
import sys
from pathlib import Path

from steps.config import load_experiment
from steps.errors import UserError, run_command
from steps.groups.schema import read_groups
from steps.outputs import check_outputs
from steps.pairs.make import make_pairs
from steps.pairs.schema import write_pairs
from steps.provenance import RunCard


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m steps.pairs", description=__doc__)
    parser.add_argument("--groups", type=Path, required=True, help="groups of one set (parquet)")
    parser.add_argument("--output", type=Path, required=True, help="pairs to write (parquet)")
    parser.add_argument(
        "--allow-empty",
        action="store_true",
        help="a file without any pair is no error (for evaluation sets and pointwise labels)",
    )
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")
    parser.add_argument("--experiment", type=Path, help="config/<name>.yaml, for the card alone")
    arguments = parser.parse_args()
    read = [arguments.groups, arguments.experiment]
    check_outputs([arguments.output, arguments.card], read)

    experiment = load_experiment(arguments.experiment) if arguments.experiment else None
    card = RunCard(
        "pairs",
        {"allow_empty": arguments.allow_empty},
        path=arguments.card,
        inputs=[arguments.groups],
        experiment=experiment,
    )
    pairs, counts = make_pairs(read_groups(arguments.groups))
    counts = {what: count for what, count in counts.items() if count}
    for what, count in counts.items():
        print(f"{arguments.groups}: {count:,} {what}", file=sys.stderr)
    if pairs.empty and not arguments.allow_empty:
        raise UserError(
            f"{arguments.groups}: no group has a better and a worse response; give groups with "
            "right and wrong responses or different scores, or set training.labels: pointwise "
            "(--allow-empty)"
        )
    write_pairs(arguments.output, pairs)
    same = int(pairs["same_model"].sum())
    print(f"{arguments.output}: {len(pairs):,} pairs, {same:,} of them of the same model")
    card.write([arguments.output], counts=counts)


if __name__ == "__main__":
    run_command(main)
