"""How tables and figures call methods, evaluation sets and metrics."""

import re

from steps.evaluate.baselines import BASELINES
from steps.evaluate.collect import POOLED
from steps.objectives.declaration import load_method
from steps.objectives.registry import method_names

_BASELINES = {
    "generator": "Generator log-probability",
    "longest": "Longest",
    "shortest": "Shortest",
    "random": "Random",
    "oracle": "Oracle",
}
_METRICS = {
    "pair_accuracy": "pair accuracy",
    "pair_accuracy_same_model": "pair accuracy, same-model pairs",
    "first_wrong_step": "first-wrong-step localisation",
    "first_wrong_step_hinted": "first-wrong-step localisation, hinted solutions",
    "reward_length_correlation": "reward-length correlation",
    "reward_length_correlation_pooled": "reward-length correlation, pooled",
    "pair_accuracy_chosen_longer": "pair accuracy, chosen longer",
    "pair_accuracy_chosen_shorter": "pair accuracy, chosen shorter",
    "picked_length": "tokens of the pick",
    "brier": "Brier score",
    "expected_calibration_error": "expected calibration error",
    "best_of_n_proxy_gain": "proxy gain of the pick",
    "best_of_n_gold": "accuracy of the pick",
    "prefix_correlation": "correlation of prefix and final reward",
    "prefix_pair_accuracy": "pair accuracy of prefixes",
    "first_wrong_step_auc": "first-wrong-step AUC",
    "token_change": "mean |r[t+1] - r[t]|",
    "token_change_relative": "mean |r[t+1] - r[t]| / deviation of rewards",
    "token_change_probability_correlation": "correlation of |r[t+1] - r[t]| and probability",
}


def method_title(name: str) -> str:
    """The title of a trained method (as its declaration gives it) or of a baseline.

    A reference model goes by its name in the experiment.
    """
    if name in BASELINES:
        return _BASELINES[name]
    return load_method(name).title if name in method_names() else name


def set_title(name: str) -> str:
    """The name of an evaluation set in words."""
    return "all sets together" if name == POOLED else name.replace("_", " ")


def metric_title(metric: str) -> str:
    """The name of a metric in words."""
    if match := re.fullmatch(r"best_of_(\d+)", metric):
        return f"best-of-{match[1]} accuracy"
    if match := re.fullmatch(r"pair_accuracy\[(.*)\]", metric):
        return f"pair accuracy, {match[1]}"
    return _METRICS[metric]
