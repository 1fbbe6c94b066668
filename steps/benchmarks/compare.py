"""``python -m steps.benchmarks.compare``: a benchmark's numbers for all methods of an experiment.

Reads the items of `python -m steps.benchmarks.runs` and writes runs.csv (every run by itself),
methods.csv (the mean over a method's runs) and differences.csv: each trained method less those
before it, the rules that need no training and the reference models, paired over prompts. p_value is
that of the bootstrap, not corrected for how many differences there are.

Two intervals answer two questions. The bootstrap over prompts, with the same draws for all methods,
says how far a number depends on the choice of prompts. Student's t-interval over runs says how far
it depends on the seed of training; one run gives none.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from steps.benchmarks.benchmark import Benchmark
from steps.benchmarks.items import counted, read_items
from steps.benchmarks.numbers import (
    Number,
    average,
    estimate,
    estimate_differences,
    point_values,
)
from steps.benchmarks.registry import benchmark_of
from steps.benchmarks.runs import Run, item_path, list_runs
from steps.benchmarks.scores import COUNTS, REFUSED, count_items, is_refusal, note_of
from steps.config import Experiment, load_experiment
from steps.errors import run_command
from steps.evaluate.seeds import t_half_width, t_half_width_of_difference
from steps.evaluate.tables import comparisons
from steps.files import atomic_path
from steps.provenance import RunCard

RUN_COLUMNS = ["method", "seed", "number", "value"]
METHOD_COLUMNS = [
    *("method", "number", "value", "ci_low", "ci_high"),
    *("n", "seeds", "t_half_width", "left_out", "truncated", "note"),
]
DIFFERENCE_COLUMNS = [
    *("method", "reference", "number", "value", "ci_low", "ci_high", "p_value"),
    *("n", "seeds", "t_half_width"),
]
TABLES = {
    "runs.csv": RUN_COLUMNS,
    "methods.csv": METHOD_COLUMNS,
    "differences.csv": DIFFERENCE_COLUMNS,
}


class Comparison:
    """The numbers of all runs of a benchmark.

    A mean over runs is over the same items: what one run of a method leaves out, all of
    its runs leave out.

    Args:
        items: for each run its items, checked; runs of a method stand together.
    """

    def __init__(self, items: dict[Run, pd.DataFrame], benchmark: Benchmark):
        present = {subset for table in items.values() for subset in table["subset"]}
        self.numbers = benchmark.numbers(present)
        items = _share_left_out(items)
        parts = [
            benchmark.means(counted(table)).assign(mean=lambda t, run=run: _prefix(run) + t["mean"])
            for run, table in items.items()
        ]
        self.means = pd.concat(parts, ignore_index=True)
        self.runs_of: dict[str, list[Run]] = {}
        for run in items:
            self.runs_of.setdefault(run[0], []).append(run)
        # Other runs of a method have read the same texts.
        any_run = {name: items[runs[0]] for name, runs in self.runs_of.items()}
        self.counts = {name: count_items(table) for name, table in any_run.items()}
        self._left_out = {
            name: table.loc[table["left_out"].notna(), ["subset", "id"]]
            for name, table in any_run.items()
        }
        # By (method, name of the number), of `note_of`.
        self.notes: dict[tuple[str, str], str] = {}
        for method, counts in self.counts.items():
            own = [self.of_method(number, method) for number in self.numbers]
            for number, value in zip(own, point_values(self.means, own), strict=True):
                self.notes[method, number.name] = note_of(number, benchmark, counts, value)
        keys = [(number, run) for number in self.numbers for run in items]
        values = point_values(self.means, [self.of_run(*key) for key in keys])
        self._values = {(n.name, run): v for (n, run), v in zip(keys, values, strict=True)}

    def of_run(self, number: Number, run: Run) -> Number:
        """Return the number of one run."""
        weights = {_prefix(run) + mean: weight for mean, weight in number.weights.items()}
        return Number(number.name, weights, number.subsets)

    def of_method(self, number: Number, method: str) -> Number:
        """Return the number's mean over the runs of a method."""
        return average(number.name, [self.of_run(number, run) for run in self.runs_of[method]])

    def run_values(self, number: Number, method: str) -> dict[int | None, float]:
        """Return the number of each run of a method, by its seed."""
        return {run[1]: self._values[number.name, run] for run in self.runs_of[method]}

    def count(self, number: Number, method: str) -> pd.Series:
        """Return `COUNTS` of the items behind a number of a method."""
        return self.counts[method][COUNTS].reindex(number.subsets, fill_value=0).sum()

    def given(self, *methods: str) -> list[Number]:
        """Return the numbers that are refused to none of the methods and count the same items."""
        return [
            number
            for number in self.numbers
            if not any(is_refusal(self.notes[method, number.name]) for method in methods)
            and len({self._left_out_of(number, method) for method in methods}) == 1
        ]

    def _left_out_of(self, number: Number, method: str) -> frozenset[str]:
        """Return the ids of the items that a number of a method does not count."""
        items = self._left_out[method]
        return frozenset(items.loc[items["subset"].isin(number.subsets), "id"])


def _share_left_out(items: dict[Run, pd.DataFrame]) -> dict[Run, pd.DataFrame]:
    """Return the items with what any run of a method left out left out of all its runs."""
    reasons: dict[str, dict[str, str]] = {}
    for (method, _), table in items.items():
        out = table[table["left_out"].notna()]
        reasons.setdefault(method, {}).update(zip(out["id"], out["left_out"], strict=True))
    return {
        run: table.assign(left_out=[reasons[run[0]].get(item) for item in table["id"]])
        for run, table in items.items()
    }


def _prefix(run: Run) -> str:
    return "/".join(map(str, run)) + "/"


def compare(
    items: dict[Run, pd.DataFrame], benchmark: Benchmark, experiment: Experiment
) -> dict[str, pd.DataFrame]:
    """Return the tables by file name; their columns are those of `TABLES`.

    Args:
        items: as `Comparison` takes them.
    """
    comparison = Comparison(items, benchmark)
    return {
        "runs.csv": _runs(comparison),
        "methods.csv": _methods(comparison, experiment),
        "differences.csv": _differences(comparison, experiment),
    }


def _runs(comparison: Comparison) -> pd.DataFrame:
    rows = [
        (method, seed, number.name, value)
        for method in comparison.runs_of
        for number in comparison.given(method)
        for seed, value in comparison.run_values(number, method).items()
    ]
    return pd.DataFrame(rows, columns=RUN_COLUMNS).astype({"seed": "Int64"})


def _methods(comparison: Comparison, experiment: Experiment) -> pd.DataFrame:
    keys = [(method, n) for method in comparison.runs_of for n in comparison.numbers]
    wanted = [comparison.of_method(number, method) for method, number in keys]
    estimates = estimate(comparison.means, wanted, experiment.evaluation)
    level = experiment.evaluation.confidence
    rows = []
    for (method, number), found in zip(keys, estimates, strict=True):
        runs = comparison.runs_of[method]
        note = comparison.notes[method, number.name]
        used = comparison.count(number, method)
        spread = t_half_width(comparison.run_values(number, method), level)
        if is_refusal(note):
            found, spread = REFUSED, np.nan
        bounds = (found.value, found.ci_low, found.ci_high)
        more = (used["n"], len(runs), spread, used["left_out"], used["truncated"], note)
        rows.append((method, number.name, *bounds, *more))
    return pd.DataFrame(rows, columns=METHOD_COLUMNS)


def _differences(comparison: Comparison, experiment: Experiment) -> pd.DataFrame:
    """Each trained method less each one before it, each baseline and each reference model."""
    trained, level = experiment.methods, experiment.evaluation.confidence
    named = comparisons(list(comparison.runs_of), trained, experiment.reference_models)
    pairs = [
        (method, reference, number)
        for method, reference in named
        for number in comparison.given(method, reference)
    ]
    wanted = []
    for method, reference, number in pairs:
        mine, other = (comparison.of_method(number, name) for name in (method, reference))
        minus = {mean: -weight for mean, weight in other.weights.items()}
        wanted.append(Number(number.name, mine.weights | minus, number.subsets))
    found = estimate_differences(comparison.means, wanted, experiment.evaluation)
    rows = []
    for (method, reference, number), each in zip(pairs, found, strict=True):
        mine = comparison.run_values(number, method)
        # The draws of a rule are no seeds of training.
        other = comparison.run_values(number, reference) if reference in trained else None
        spread = t_half_width_of_difference(mine, other, level)
        facts = (each.value, each.ci_low, each.ci_high, each.p_value)
        more = (comparison.count(number, method)["n"], min(len(mine), len(other or mine)), spread)
        rows.append((method, reference, number.name, *facts, *more))
    return pd.DataFrame(rows, columns=DIFFERENCE_COLUMNS)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m steps.benchmarks.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    parser.add_argument("--name", required=True, help="key under `benchmarks`")
    parser.add_argument("--items", type=Path, required=True, help="folder of the items")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")
    arguments = parser.parse_args()

    experiment = load_experiment(arguments.experiment)
    benchmark = benchmark_of(experiment, arguments.name)
    settings = {"benchmark": benchmark.name, "evaluation": experiment.evaluation.model_dump()}
    card = RunCard(
        "benchmarks compare",
        settings,
        path=arguments.card,
        inputs=[arguments.items],
        experiment=experiment,
    )
    paths = {run: item_path(arguments.items, run) for run in list_runs(experiment)}
    items = {run: read_items(path, benchmark) for run, path in paths.items()}
    tables = compare(items, benchmark, experiment)
    with atomic_path(arguments.output) as temporary:
        temporary.mkdir()
        for name, table in tables.items():
            table.to_csv(temporary / name, index=False, float_format="%.6g", lineterminator="\n")
    card.write([arguments.output])


if __name__ == "__main__":
    run_command(main)
