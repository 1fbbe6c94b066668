"""The scores of one model and of its method, out of an evaluation."""

from pathlib import Path

import pandas as pd

from steps.config import Experiment
from steps.report.load import read_evaluation

_KEYS = ["eval_set", "metric"]
_SHOWN = r"pair_accuracy(_same_model)?|best_of_(?!1$)\d+|first_wrong_step"


def model_scores(folder: Path, experiment: Experiment, method: str, seed: int) -> pd.DataFrame:
    """Return the main metrics, without best-of-1, which is the same for every method.

    Returns:
        Columns eval_set, metric, value (the method's mean over seeds), ci_low, ci_high, n, seeds
        and this_model (the score of one seed; NaN where it has none). Empty if the method was
        trained but not evaluated.
    """
    evaluation = read_evaluation(folder, experiment)
    metrics, seeds = evaluation.metrics, evaluation.seeds
    shown = metrics[(metrics["method"] == method) & metrics["metric"].str.fullmatch(_SHOWN)]
    own = seeds[(seeds["method"] == method) & (seeds["seed"] == seed)]
    own = own.rename(columns={"value": "this_model"})[[*_KEYS, "this_model"]]
    return shown.drop(columns="method").merge(own, on=_KEYS, how="left")
