"""Over-optimisation: does the pick get better as fast as its reward does? (arXiv 2210.10760)

Best-of-N optimises the reward model, the proxy, against the policy that wrote the responses; the
policy of the pick differs from it by KL = log N - (N - 1) / N. Gold is exact correctness. Where the
proxy keeps rising while gold falls, the reward model is over-optimised.

The reward is defined up to a constant per prompt and has another scale in every run, so the proxy
is the gain over the mean reward of the problem's responses, in units of the run's standard
deviation within problems.
"""

import numpy as np

from steps.evaluate.analyses.measure import Key, Measure, Measures, mean, problem_sums
from steps.evaluate.best_of_n import groups_with, pick_probabilities
from steps.evaluate.load import EvaluationSet
from steps.evaluate.statistics import ratios

PROXY = "best_of_n_proxy_gain"
GOLD = "best_of_n_gold"


def over_optimisation(eval_set: EvaluationSet, rewards: np.ndarray, numbers: list[int]) -> Measures:
    """Return proxy and gold of the pick for each N, on the problems of `groups_with`.

    Args:
        rewards: [R].
        numbers: the Ns.
    """
    numbers, groups = groups_with(eval_set, numbers)
    if not groups:
        return {}
    problems = np.array([group.group_id for group in groups], dtype=object)
    own = [rewards[eval_set.rows(group)] for group in groups]
    correct = [np.array([r.correct for r in group.responses], dtype=float) for group in groups]
    variances = np.array([each.var() for each in own])
    ones = np.ones(len(groups))
    measures: Measures = {}
    for drawn in numbers:
        picks = [pick_probabilities(each, drawn) for each in own]
        gains = [pick @ each - each.mean() for pick, each in zip(picks, own, strict=True)]
        gold = [pick @ right for pick, right in zip(picks, correct, strict=True)]
        sums = problem_sums(problems, [np.array(gains), variances], [ones, ones])
        measures[Key(PROXY, drawn)] = Measure(sums, in_deviations)
        measures[Key(GOLD, drawn)] = mean(problems, np.array(gold))
    return measures


def in_deviations(means: np.ndarray) -> np.ndarray:
    """Return a mean gain in units of the root of a mean variance; NaN where that is 0."""
    return ratios(means[0], np.sqrt(means[1]))
