"""The main table in the shape that people read: methods down, sets and metrics across."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from steps.evaluate.baselines import BASELINES
from steps.report.load import Evaluation
from steps.report.names import method_title, metric_title, set_title

ONE_RUN = "†"
MISSING = "–"


@dataclass(frozen=True)
class Cell:
    """One number as text; all but ``value`` may be empty.

    Attributes:
        interval: of the bootstrap over problems.
        spread: half the width of the t-interval over seeds.
    """

    value: str
    interval: str = ""
    spread: str = ""
    mark: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.value, self.interval, self.spread, self.mark)))


@dataclass(frozen=True)
class MainTable:
    """The wide table.

    Attributes:
        columns: (evaluation set, metric), as they are called in the CSV files.
        rows: (method title, number of runs, one cell per column).
        counts: n of each column (the largest, should methods differ).
    """

    columns: list[tuple[str, str]]
    rows: list[tuple[str, str, list[Cell]]]
    counts: list[str]

    @property
    def has_one_run(self) -> bool:
        """Whether a trained number rests on a single run: one seed, or one ensemble."""
        return any(cell.mark for _, _, cells in self.rows for cell in cells)

    @property
    def has_spread(self) -> bool:
        """Whether a number has a t-interval over seeds."""
        return any(cell.spread for _, _, cells in self.rows for cell in cells)

    def headers(self) -> list[tuple[str, str]]:
        """(evaluation set, metric) in words."""
        return [(set_title(name), metric_title(metric)) for name, metric in self.columns]


def main_columns(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Pair accuracies and best of the largest N in each set with pairs; localisation.

    Localisation is shown for the set with the most annotated responses.
    """
    metrics = evaluation.metrics
    columns = []
    for name in evaluation.pair_sets:
        wanted = ["pair_accuracy", "pair_accuracy_same_model"]
        wanted += [f"best_of_{drawn}" for drawn in evaluation.best_of(name)[-1:]]
        present = set(metrics.loc[metrics["eval_set"] == name, "metric"])
        columns += [(name, metric) for metric in wanted if metric in present]
    located = metrics[metrics["metric"] == "first_wrong_step"]
    if len(located):
        columns.append((located.loc[located["n"].idxmax(), "eval_set"], "first_wrong_step"))
    return columns


def main_table(
    evaluation: Evaluation, trained: list[str], references: Iterable[str] = ()
) -> MainTable:
    """Arrange the main metrics, see `arrange`."""
    return arrange(evaluation, main_columns(evaluation), trained, references)


def arrange(
    evaluation: Evaluation,
    columns: list[tuple[str, str]],
    trained: list[str],
    references: Iterable[str] = (),
) -> MainTable:
    """Arrange metrics; trained methods first, in the order of the experiment.

    Args:
        columns: (evaluation set, metric).
        references: the reference models.
    """
    rows = []
    for method in [*trained, *references, *BASELINES]:
        found = [evaluation.cell(method, *column) for column in columns]
        seeds = max((int(row["seeds"]) for row in found if row is not None), default=0)
        cells = [main_cell(row) for row in found]
        rows.append((method_title(method), str(seeds or MISSING), cells))
    counts = []
    for eval_set, metric in columns:
        table = evaluation.metrics
        rows_of = (table["eval_set"] == eval_set) & (table["metric"] == metric)
        counts.append(str(table.loc[rows_of, "n"].max()))
    return MainTable(columns, rows, counts)


def main_cell(row: pd.Series | tuple | None) -> Cell:
    """Return the cell of a row of the evaluation's tables, or of a number that is not there."""
    if row is None:
        return Cell(MISSING)
    return Cell(
        f"{row.value:.3f}",
        format_interval(row.ci_low, row.ci_high),
        format_spread(row.t_half_width),
        ONE_RUN if row.seeds == 1 else "",
    )


def format_interval(low: float, high: float, sign: str = "") -> str:
    """Return ``[low, high]`` with three decimals, or say that there is no interval."""
    if np.isnan(low) or np.isnan(high):
        return "[no interval]"
    return f"[{low:{sign}.3f}, {high:{sign}.3f}]"


def format_spread(half_width: float) -> str:
    """Return ``±half_width`` with three decimals, or nothing if there is none."""
    return "" if np.isnan(half_width) else f"±{half_width:.3f}"
