"""The scores of one model and of its method, out of an evaluation."""

from pathlib import Path

import pandas as pd

from steps.config import Experiment
from steps.evaluate.manifest import check_model
from steps.report.load import read_evaluation
from steps.score.schema import Origin

_KEYS = ["eval_set", "metric"]
_SHOWN = r"pair_accuracy(_same_model)?|best_of_(?!1$)\d+|first_wrong_step"


def model_scores(folder: Path, experiment: Experiment, model: Origin) -> pd.DataFrame:
    """Return the main metrics, without best-of-1, which is the same for every method.

    Returns:
        Columns eval_set, metric, value (the method's mean over seeds), ci_low, ci_high, n, seeds
        and this_model (the score of one seed; NaN where it has none). Empty if the method was
        trained but not evaluated.
    Raises:
        UserError: the evaluation is damaged, of another experiment, or of another model.
    """
    evaluation = read_evaluation(folder, experiment)
    if model.method in experiment.methods:  # else it was trained for an ensemble alone
        check_model(folder, model)
    metrics, seeds = evaluation.metrics, evaluation.seeds
    shown = metrics[(metrics["method"] == model.method) & metrics["metric"].str.fullmatch(_SHOWN)]
    own = seeds[(seeds["method"] == model.method) & (seeds["seed"] == model.seed)]
    own = own.rename(columns={"value": "this_model"})[[*_KEYS, "this_model"]]
    return shown.drop(columns="method").merge(own, on=_KEYS, how="left")
