"""All tables of an evaluation, by file name."""

import pandas as pd

from steps.config import Experiment
from steps.evaluate.analyses.collect import collect_analyses
from steps.evaluate.analyses.tables import (
    ANALYSIS_COLUMNS,
    ANALYSIS_DIFFERENCE_COLUMNS,
    analysis_tables,
)
from steps.evaluate.collect import collect
from steps.evaluate.load import EvaluationSet
from steps.evaluate.mcnemar import MCNEMAR_COLUMNS, mcnemar_table
from steps.evaluate.seeds import SEED_COLUMNS
from steps.evaluate.tables import DIFFERENCE_COLUMNS, METRIC_COLUMNS, result_tables

COLUMNS = {
    "metrics.csv": METRIC_COLUMNS,
    "differences.csv": DIFFERENCE_COLUMNS,
    "seeds.csv": SEED_COLUMNS,
    "mcnemar.csv": MCNEMAR_COLUMNS,
    "analyses.csv": ANALYSIS_COLUMNS,
    "analysis_differences.csv": ANALYSIS_DIFFERENCE_COLUMNS,
}


def evaluate(experiment: Experiment, sets: list[EvaluationSet]) -> dict[str, pd.DataFrame]:
    """Return the tables with their `COLUMNS`."""
    tables = [
        *result_tables(collect(experiment, sets), experiment),
        mcnemar_table(experiment, sets),
        *analysis_tables(collect_analyses(experiment, sets), experiment),
    ]
    return dict(zip(COLUMNS, tables, strict=True))
