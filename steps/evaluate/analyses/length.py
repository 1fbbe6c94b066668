"""Length: does a reward follow the number of tokens instead of the quality?

- Pair accuracy apart for pairs whose chosen response is the longer, and the shorter one. A model
  that likes length is good at the first and bad at the second.
- Correlation of reward and length over all responses of all problems ("pooled"). It mixes in that
  problems differ in length and in reward; the correlation within problems, which does not, is
  `reward_length_correlation` of the metrics.
- Mean length of the response that best-of-N picks.
"""

import numpy as np

from steps.evaluate.analyses.measure import Key, Measures, correlation, mean, share_of
from steps.evaluate.best_of_n import groups_with, pick_probabilities
from steps.evaluate.load import EvaluationSet
from steps.evaluate.pair_accuracy import pair_responses

LONGER = Key("pair_accuracy_chosen_longer")
SHORTER = Key("pair_accuracy_chosen_shorter")
POOLED_CORRELATION = Key("reward_length_correlation_pooled")
PICKED = "picked_length"


def lengths_of_pairs(eval_set: EvaluationSet, wins: np.ndarray) -> Measures:
    """Return pair accuracy by which response is the longer one.

    Args:
        wins: [pairs], 1 where the chosen response wins (0.5 for a coin).
    """
    lengths = eval_set.any_scores["n_tokens"].to_numpy(np.int64)
    chosen, rejected = pair_responses(eval_set)
    gaps = lengths[chosen] - lengths[rejected]
    problems = eval_set.pairs["group_id"].to_numpy(object)
    subsets = {LONGER: gaps > 0, SHORTER: gaps < 0}
    return {
        key: share_of(problems, wins, subset) for key, subset in subsets.items() if subset.any()
    }


def pooled_correlation(eval_set: EvaluationSet, rewards: np.ndarray) -> Measures:
    """Return Pearson's correlation of reward and n_tokens over all responses.

    Args:
        rewards: [R].
    """
    lengths = eval_set.any_scores["n_tokens"].to_numpy(np.float64)
    return {POOLED_CORRELATION: correlation(eval_set.problems, rewards, lengths)}


def picked_lengths(eval_set: EvaluationSet, rewards: np.ndarray, numbers: list[int]) -> Measures:
    """Return the expected n_tokens of the best-of-N pick, for the problems of `groups_with`.

    Args:
        rewards: [R].
        numbers: the Ns.
    """
    lengths = eval_set.any_scores["n_tokens"].to_numpy(np.float64)
    numbers, groups = groups_with(eval_set, numbers)
    problems = np.array([group.group_id for group in groups], dtype=object)
    return {
        Key(PICKED, drawn): mean(
            problems,
            np.array(
                [
                    pick_probabilities(rewards[rows], drawn) @ lengths[rows]
                    for rows in map(eval_set.rows, groups)
                ]
            ),
        )
        for drawn in numbers
    }
