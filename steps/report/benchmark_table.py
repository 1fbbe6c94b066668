"""A benchmark's table: methods down, the benchmark's sections and score across, in percent."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from steps.benchmarks.benchmark import Benchmark
from steps.benchmarks.compare import TABLES
from steps.benchmarks.registry import benchmark_of
from steps.benchmarks.scores import is_refusal, marks_in
from steps.config import Experiment
from steps.config.schema import HubBackbone
from steps.report.csv_file import read_csv
from steps.report.main_table import MISSING, ONE_RUN, Cell, MainTable
from steps.report.names import method_title
from steps.report.published import PublishedRow, published_rows

FOLDER = "benchmarks/numbers"


class NumberTable(MainTable):
    """A `MainTable` whose columns are (title of the table, name of the number)."""

    def headers(self) -> list[tuple[str, str]]:
        """The columns, which are words already."""
        return self.columns


@dataclass(frozen=True)
class BenchmarkResult:
    """The tables of `steps.benchmarks.compare` for one benchmark of an experiment."""

    name: str
    benchmark: Benchmark
    methods: pd.DataFrame
    differences: pd.DataFrame

    @property
    def title(self) -> str:
        return self.benchmark.title

    @property
    def parts(self) -> list[str]:
        """The other numbers that any method has."""
        known = self.methods.loc[self.methods["value"].notna(), "number"]
        return [n for n in dict.fromkeys(known) if n not in self.benchmark.headline]

    def published(self, experiment: Experiment) -> list[PublishedRow]:
        """Return what others have published of the experiment's backbone."""
        backbone = experiment.backbone
        name = Path(backbone.id).name if isinstance(backbone, HubBackbone) else backbone.source
        return published_rows(self.benchmark.name, name)

    def shown_first(self, experiment: Experiment) -> list[str]:
        """Return the headline numbers; the parts, where we have none of these, nor others do."""
        headline = list(self.benchmark.headline)
        ours = self.methods.loc[self.methods["number"].isin(headline), "value"].notna().any()
        return headline if ours or self.published(experiment) or not self.parts else self.parts

    def main_table(self, experiment: Experiment) -> NumberTable:
        """Arrange the numbers that are shown first, ours and below them what is published."""
        table = self.table(experiment, self.shown_first(experiment))
        for row in self.published(experiment):
            cells = [Cell(row.cell(number)) for _, number in table.columns]
            table.rows.append((f"{row.method} (published)", MISSING, cells))
        return table

    def table(self, experiment: Experiment, numbers: list[str]) -> NumberTable:
        """Arrange ``numbers``; methods in the order of the runs."""
        found = self.methods.set_index(["method", "number"])
        rows = []
        for method in dict.fromkeys(self.methods["method"]):
            of_method = [found.loc[(method, number)] for number in numbers]
            trained = method in experiment.methods
            cells = [_cell(row, trained) for row in of_method]
            seeds = str(of_method[0]["seeds"]) if trained else MISSING
            rows.append((method_title(method), seeds, cells))
        counts = [self._count(number) for number in numbers]
        return NumberTable([(self.title, number) for number in numbers], rows, counts)

    def _count(self, number: str) -> str:
        """Return how many items count, for the method that counts most; of how many, if not all.

        Of a number that is refused for all, none does.
        """
        rows = self.methods[self.methods["number"] == number]
        if rows["value"].isna().all():
            return MISSING
        n, there = rows["n"].max(), (rows["n"] + rows["left_out"]).max()
        return str(n) if n == there else f"{n} of {there}"


def _cell(row: pd.Series, trained: bool) -> Cell:
    if np.isnan(row["value"]):
        return Cell(MISSING)
    value, interval = percent(row["value"]), percent_interval(row["ci_low"], row["ci_high"])
    if not trained:  # the runs of a rule differ by how it breaks ties, not by a seed of training
        return Cell(value, interval)
    half_width = row["t_half_width"]
    spread = "" if np.isnan(half_width) else f"±{percent(half_width)}"
    return Cell(value, interval, spread, ONE_RUN if row["seeds"] == 1 else "")


def percent(value: float, sign: str = "") -> str:
    """Return a share in percent, as papers print the benchmarks."""
    return f"{100 * value:{sign}.1f}"


def percent_interval(low: float, high: float, sign: str = "") -> str:
    """Return ``[low, high]`` in percent, or say that there is no interval."""
    if np.isnan(low) or np.isnan(high):
        return "[no interval]"
    return f"[{percent(low, sign)}, {percent(high, sign)}]"


def notes(result: BenchmarkResult) -> list[str]:
    """Return what must be known of the numbers: what is refused, other counts, rows that are left
    out, and cut texts.
    """
    noted = result.methods[result.methods["note"].notna()]
    methods = result.methods["method"].unique()
    sentences, named = [], set()  # subsets whose lack is told
    marked = {}  # by mark, the methods that have it
    for (number, note), rows in noted.groupby(["number", "note"], sort=False):
        if not is_refusal(note):
            for mark in marks_in(note):
                marked.setdefault(mark, {}).update(dict.fromkeys(rows["method"]))
        elif number in result.benchmark.headline:
            of = "" if len(rows) == len(methods) else f" of {', '.join(rows['method'])}"
            lacking = set(re.findall("'[^']*'", note))
            same = bool(lacking) and lacking <= named
            sentences.append(f"{number}{of}: {'refused, it needs these too' if same else note}.")
            named |= lacking
    # How many are truncated differs from number to number; the whole follows.
    marked = {mark: of for mark, of in marked.items() if not mark.endswith(" truncated")}
    common = [mark for mark, of in marked.items() if len(of) == len(methods)]
    if common:
        sentences.append(f"Marked: {'; '.join(common)}.")
    for method in methods:
        own = [mark for mark, of in marked.items() if method in of and mark not in common]
        if own:
            sentences.append(f"{method_title(method)}: {'; '.join(own)}.")
    cut = result.methods.groupby("method", sort=False)["truncated"].max()
    return sentences + [
        f"{method_title(method)}: {count} items truncated."
        for method, count in cut[cut > 0].items()
    ]


def read_results(experiment: Experiment, results: Path) -> list[BenchmarkResult]:
    """Read the numbers of every benchmark of an experiment.

    Raises:
        UserError: a file is missing or damaged.
    """
    found = []
    for name in experiment.benchmarks:
        folder = results / FOLDER / name
        methods, differences = (
            read_csv(folder / file, TABLES[file]) for file in ("methods.csv", "differences.csv")
        )
        benchmark = benchmark_of(experiment, name)
        found.append(BenchmarkResult(name, benchmark, methods, differences))
    return found
