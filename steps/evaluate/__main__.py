"""``python -m steps.evaluate``: metrics with intervals from groups, pairs and scores.

Needs in the results folder: groups/<set>.parquet, pairs/<set>.parquet and
scores/<method>/seed<k>/<set>.parquet for every method, seed and evaluation set of the experiment.
Writes metrics.csv (a row per method, set and metric), differences.csv (paired differences between
methods) and seeds.csv (every trained model by itself) into the output folder.
"""

import argparse
from pathlib import Path

from steps.config import Experiment, load_experiment
from steps.errors import run_command
from steps.evaluate.collect import collect
from steps.evaluate.load import read_evaluation_sets, score_path
from steps.evaluate.tables import result_tables, write_tables
from steps.provenance import RunCard


def input_files(experiment: Experiment, results: Path) -> list[Path]:
    """Return every file that the evaluation reads."""
    sets = experiment.evaluation_sets
    return [
        *(results / kind / f"{name}.parquet" for kind in ("groups", "pairs") for name in sets),
        *(
            score_path(results, method, seed, name)
            for method in experiment.methods
            for seed in experiment.seeds
            for name in sets
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m steps.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    parser.add_argument("--results", type=Path, required=True, help="results/<name>, to read from")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")
    arguments = parser.parse_args()

    experiment = load_experiment(arguments.experiment)
    card = RunCard("evaluate", experiment.evaluation.model_dump())
    sums = collect(experiment, read_evaluation_sets(experiment, arguments.results))
    write_tables(arguments.output, *result_tables(sums, experiment))
    card.write(arguments.card, input_files(experiment, arguments.results), [arguments.output])


if __name__ == "__main__":
    run_command(main)
