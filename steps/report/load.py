"""Reading what the evaluation wrote."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from steps.config import Experiment
from steps.errors import UserError
from steps.evaluate.collect import POOLED
from steps.evaluate.evaluate import COLUMNS
from steps.evaluate.manifest import check_manifest
from steps.files import read_json
from steps.report.csv_file import read_csv


@dataclass(frozen=True)
class Evaluation:
    """The tables of `steps.evaluate`, with their columns."""

    metrics: pd.DataFrame
    differences: pd.DataFrame
    seeds: pd.DataFrame
    mcnemar: pd.DataFrame
    analyses: pd.DataFrame
    analysis_differences: pd.DataFrame

    @property
    def pair_sets(self) -> list[str]:
        """Evaluation sets that have pairs, without the pooled one."""
        sets = self.metrics.loc[self.metrics["metric"] == "pair_accuracy", "eval_set"].unique()
        return [name for name in sets if name != POOLED]

    @property
    def widest_set(self) -> str | None:
        """The pooled set, or the only set with pairs."""
        if (self.metrics["eval_set"] == POOLED).any():
            return POOLED
        return self.pair_sets[0] if self.pair_sets else None

    def best_of(self, eval_set: str) -> list[int]:
        """The Ns for which a set has a best-of-N accuracy, ascending."""
        metrics = self.metrics.loc[self.metrics["eval_set"] == eval_set, "metric"].unique()
        return sorted(int(m.removeprefix("best_of_")) for m in metrics if m.startswith("best_of_"))

    def cell(self, method: str, eval_set: str, metric: str) -> pd.Series | None:
        """The row of one number, or None."""
        table = self.metrics
        found = table[
            (table["method"] == method)
            & (table["eval_set"] == eval_set)
            & (table["metric"] == metric)
        ]
        return found.iloc[0] if len(found) else None

    def curve(self, method: str, eval_set: str, metric: str) -> pd.DataFrame:
        """The rows of one metric of the analyses, indexed by their place on the curve."""
        table = self.analyses
        found = table[
            (table["method"] == method)
            & (table["eval_set"] == eval_set)
            & (table["metric"] == metric)
        ]
        return found.set_index("at").sort_index()


def read_evaluation(folder: Path, experiment: Experiment) -> Evaluation:
    """Read the CSV files from the output of `steps.evaluate`.

    Raises:
        UserError: a file is missing or damaged, or the evaluation is not of this experiment.
    """
    tables = {name: read_csv(folder / name, wanted) for name, wanted in COLUMNS.items()}
    check_manifest(folder, tables, experiment)
    return Evaluation(*tables.values())


def selection_file(results: Path) -> Path:
    """Return where the selection step counts what entered."""
    return results / "groups" / "selection.json"


def selection_summary(results: Path) -> list[str]:
    """Sentences on how much data entered, from the selection step; none if it was not run."""
    path = selection_file(results)
    if not path.is_file():
        return []
    summary = read_json(path).get("summary")
    if not isinstance(summary, list):
        raise UserError(f"{path}: the list 'summary' is missing; run the selection step again")
    return [str(sentence) for sentence in summary]
