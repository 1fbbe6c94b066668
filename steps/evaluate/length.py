"""Reward-length correlation: does a longer response of the same prompt get a higher reward?"""

import numpy as np
import pandas as pd

from steps.evaluate.load import EvaluationSet
from steps.evaluate.measure import per_problem

CORRELATION = "reward_length_correlation"
FEWEST_RESPONSES = 3  # with two, a correlation is always +1 or -1


def reward_length_correlation(
    eval_set: EvaluationSet, rewards: np.ndarray
) -> dict[str, pd.DataFrame]:
    """Return the Pearson correlation of reward and n_tokens within a prompt, averaged over prompts.

    A prompt with fewer than three responses, or whose lengths do not differ, is left out; one whose
    rewards do not differ counts nothing (numerator and denominator 0).

    Args:
        rewards: [R].
    """
    lengths = eval_set.any_scores["n_tokens"].to_numpy(np.float64)
    problems, correlations, defined = [], [], []
    for group in eval_set.groups:
        length, reward = lengths[eval_set.rows(group)], rewards[eval_set.rows(group)]
        if len(length) < FEWEST_RESPONSES or np.ptp(length) == 0:
            continue
        varies = np.ptp(reward) > 0
        problems.append(group.group_id)
        correlations.append(np.corrcoef(length, reward)[0, 1] if varies else 0.0)
        defined.append(float(varies))
    return {CORRELATION: per_problem(problems, correlations, defined)} if problems else {}
