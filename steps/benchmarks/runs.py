"""``python -m steps.benchmarks.runs``: the per-item results of every run of an experiment.

A run is a trained model, an ensemble, a reference model, or a rule that needs no training: the
generator's mean log-probability, the longest or the shortest response, or a random one. The rules
that draw (equal lengths are put in order by a draw too, since a benchmark counts a tie as wrong)
have one run for every seed of the experiment, as trained methods have.
"""

import argparse
from pathlib import Path

import numpy as np

from steps.benchmarks.items import write_items
from steps.benchmarks.left_out import read_left_out_rows
from steps.benchmarks.registry import benchmark_of
from steps.benchmarks.scored import Scored, read_scored, scored_items, without_not_finite
from steps.config import Experiment, load_experiment
from steps.errors import run_command
from steps.evaluate.load import align_scores, check_origin, reference_path, score_path
from steps.files import atomic_path
from steps.groups.schema import PromptGroup, read_groups
from steps.provenance import RunCard
from steps.score.schema import read_scores

# A run: method, and seed where the method has one.
Run = tuple[str, int | None]
DRAWN = ("longest", "shortest", "random")
# Of a text that the generator cannot write (top-p below 1): below every finite mean.
IMPOSSIBLE = -1e6


def list_runs(experiment: Experiment) -> list[Run]:
    """Return the runs in table order."""
    return [
        *experiment.runs,
        *((name, None) for name in experiment.reference_models),
        ("generator", None),
        *((name, seed) for name in DRAWN for seed in experiment.seeds),
    ]


def item_path(folder: Path, run: Run) -> Path:
    """Where the items of a run lie in the folder of a benchmark's items."""
    method, seed = run
    return folder / (f"{method}.parquet" if seed is None else f"{method}/seed{seed}.parquet")


def score_files(experiment: Experiment, scores: Path, name: str) -> dict[Run, Path]:
    """Return the score file of every run that has a model.

    Args:
        scores: the folder that has the folder ``scores`` of the benchmarks.
    """
    trained = {run: score_path(scores, *run, name) for run in experiment.runs}
    return trained | {
        (model, None): reference_path(scores, model, name) for model in experiment.reference_models
    }


def collect_scores(
    experiment: Experiment, files: dict[Run, Path], groups: list[PromptGroup]
) -> dict[Run, Scored]:
    """Return the scores of every run.

    Raises:
        UserError: a file is missing or damaged, or does not fit the groups.
    """
    found, trained = {}, {}
    for run, path in files.items():
        if run[1] is None:
            found[run] = read_scored(path, groups)
        else:
            check_origin(path, *run)
            # What the backbone cannot read whole was left out of the groups.
            scores = align_scores(read_scores(path, finite=False), groups, path)
            trained[run] = scores.assign(truncated=False)
            found[run] = without_not_finite(trained[run])
    any_scores = trained[experiment.runs[0]]
    means = [np.mean(row, dtype=np.float64) for row in any_scores["token_log_probs"]]
    found["generator", None] = Scored(any_scores.assign(reward=np.maximum(means, IMPOSSIBLE)))
    lengths = any_scores["n_tokens"].to_numpy(np.float64)
    for seed in experiment.seeds:
        draws = np.random.default_rng(seed).random(len(lengths))
        drawn = {"longest": lengths + draws, "shortest": draws - lengths, "random": draws}
        for name in DRAWN:
            found[name, seed] = Scored(any_scores.assign(reward=drawn[name]))
    return {run: found[run] for run in list_runs(experiment)}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m steps.benchmarks.runs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    parser.add_argument("--name", required=True, help="key under `benchmarks`")
    parser.add_argument(
        "--results", type=Path, required=True, help="results/<name>/benchmarks, to read from"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")
    arguments = parser.parse_args()

    experiment = load_experiment(arguments.experiment)
    benchmark = benchmark_of(experiment, arguments.name)
    settings = {"benchmark": benchmark.name, "seeds": experiment.seeds}
    group_file = arguments.results / "groups" / f"{arguments.name}.parquet"
    files = score_files(experiment, arguments.results, arguments.name)
    card = RunCard(
        "benchmarks runs",
        settings,
        path=arguments.card,
        inputs=[group_file, *files.values()],
        experiment=experiment,
    )
    groups = read_groups(group_file)
    left_out = read_left_out_rows(group_file)
    scores = collect_scores(experiment, files, groups)
    with atomic_path(arguments.output) as temporary:
        for run, scored in scores.items():
            items = scored_items(benchmark, groups, scored, left_out)
            write_items(item_path(temporary, run), items, benchmark)
    card.write([arguments.output])


if __name__ == "__main__":
    run_command(main)
