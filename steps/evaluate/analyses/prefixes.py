"""Prefix predictiveness: how early in a response is its final reward, and its rank, known?

The prefix at a share s of a response of T tokens is its first ceil(s T) tokens, and its reward the
one at the last of them; at 100 % it is the final reward.
- Correlation with the final reward within problems: both are taken as deviations from the mean of
  the problem's responses, because the prompt alone already moves all of them.
- Pair accuracy of prefixes: the prefix of the chosen response has the strictly higher reward than
  the equally long share of the rejected one.
"""

import numpy as np
import pandas as pd

from steps.evaluate.analyses.measure import Key, Measures, correlation, mean
from steps.evaluate.load import EvaluationSet
from steps.evaluate.pair_accuracy import strict_wins

PERCENTAGES = tuple(range(10, 101, 10))
CORRELATION = "prefix_correlation"
PAIR_ACCURACY = "prefix_pair_accuracy"


def prefix_rewards(token_rewards: pd.Series, percentage: int) -> np.ndarray:
    """Return the reward [R] of each response's prefix.

    Args:
        token_rewards: R arrays [T].
    """
    # Whole numbers: the floating-point product of a share and T may lie just above the integer.
    return np.array([row[-(-percentage * len(row) // 100) - 1] for row in token_rewards], float)


def within_problems(values: np.ndarray, problems: np.ndarray) -> np.ndarray:
    """Return the deviations [R] of values [R] from the mean of their problem."""
    return values - pd.Series(values).groupby(problems).transform("mean").to_numpy()


def prefixes(eval_set: EvaluationSet, token_rewards: pd.Series) -> Measures:
    """Return correlation and pair accuracy at each of `PERCENTAGES`.

    Args:
        token_rewards: R arrays [T].
    """
    problems = eval_set.problems
    pair_problems = eval_set.pairs["group_id"].to_numpy(object)
    final = within_problems(prefix_rewards(token_rewards, 100), problems)
    measures: Measures = {}
    for percentage in PERCENTAGES:
        rewards = prefix_rewards(token_rewards, percentage)
        measures[Key(CORRELATION, percentage)] = correlation(
            problems, within_problems(rewards, problems), final
        )
        measures[Key(PAIR_ACCURACY, percentage)] = mean(
            pair_problems, strict_wins(eval_set, rewards)
        )
    return measures
