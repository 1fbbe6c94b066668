"""Pair accuracy: how often the better response of a pair has the higher reward."""

import numpy as np
import pandas as pd

from steps.evaluate.load import EvaluationSet
from steps.evaluate.measure import share_per_problem

ALL_PAIRS = "pair_accuracy"
SAME_MODEL = "pair_accuracy_same_model"


def pair_responses(eval_set: EvaluationSet) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the chosen and of the rejected response of each pair, both [pairs]."""
    first = eval_set.pairs["group_id"].map(eval_set.starts).to_numpy(np.int64)
    chosen = first + eval_set.pairs["chosen"].to_numpy(np.int64)
    rejected = first + eval_set.pairs["rejected"].to_numpy(np.int64)
    return chosen, rejected


def strict_wins(eval_set: EvaluationSet, rewards: np.ndarray) -> np.ndarray:
    """Return 1.0 for each pair with reward(chosen) > reward(rejected), else 0.0; a tie counts 0.

    Args:
        rewards: [R].

    Returns:
        [pairs].
    """
    chosen, rejected = pair_responses(eval_set)
    return (rewards[chosen] > rewards[rejected]).astype(np.float64)


def coin_wins(eval_set: EvaluationSet, rewards: np.ndarray) -> np.ndarray:
    """Return `strict_wins` with a tie counting 0.5, as a coin would decide it on average."""
    wins = strict_wins(eval_set, rewards)
    return wins + 0.5 * (1 - wins - strict_wins(eval_set, -rewards))


def pair_accuracies(eval_set: EvaluationSet, wins: np.ndarray) -> dict[str, pd.DataFrame]:
    """Return pair accuracy of all pairs, of same-model pairs and per category.

    Args:
        wins: [pairs], 1 where the chosen response wins (0.5 for a coin).
    """
    problems = eval_set.pairs["group_id"].to_numpy(object)
    same_model = eval_set.pairs["same_model"].fillna(False).to_numpy(bool)
    category_of = {group.group_id: group.category for group in eval_set.groups}
    categories = np.array([category_of[problem] for problem in problems], dtype=object)

    subsets = {ALL_PAIRS: np.ones(len(wins), dtype=bool), SAME_MODEL: same_model}
    for category in sorted({c for c in categories if c}):
        subsets[f"{ALL_PAIRS}[{category}]"] = categories == category
    return {
        metric: share_per_problem(list(problems[subset]), wins[subset])
        for metric, subset in subsets.items()
        if subset.any()
    }
