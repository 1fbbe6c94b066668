"""Calibration: does sigma(reward(chosen) - reward(rejected)) say how often a preference is right?

Bradley-Terry reads p = sigma(margin) as the probability that the chosen response is the better one.
- Brier score: mean (1 - p)^2 over pairs. An uninformed p = 1/2 has 0.25, certainty has 0.
- Expected calibration error (Guo et al. 2017, arXiv 1706.04599): pairs are put into `BINS` equal
  bins of the confidence sigma(|margin|) in [1/2, 1]; ECE = sum over bins of (pairs in the bin / all
  pairs) * |accuracy - mean confidence|. A tie is right by a coin. With few pairs ECE is above zero
  even for a calibrated model, since no bin's accuracy is exact.
- Reliability curve: accuracy against mean confidence in each bin.
"""

import numpy as np
from scipy.special import expit

from steps.evaluate.analyses.measure import Key, Measure, Measures, mean, problem_sums, share_of
from steps.evaluate.load import EvaluationSet
from steps.evaluate.pair_accuracy import pair_responses

BINS = 10
BRIER = Key("brier")
ECE = Key("expected_calibration_error")
ACCURACY = "reliability_accuracy"
CONFIDENCE = "reliability_confidence"


def calibration(eval_set: EvaluationSet, rewards: np.ndarray) -> Measures:
    """Return Brier score, ECE and the reliability curve (at the middle of each bin).

    Args:
        rewards: [R].
    """
    chosen, rejected = pair_responses(eval_set)
    margins = rewards[chosen] - rewards[rejected]
    problems = eval_set.pairs["group_id"].to_numpy(object)
    confidence = expit(np.abs(margins))
    right = (np.sign(margins) + 1) / 2
    edges = np.linspace(0.5, 1, BINS + 1)
    bins = np.clip(np.digitize(confidence, edges) - 1, 0, BINS - 1)

    inside = [bins == k for k in range(BINS)]
    gaps = problem_sums(
        problems,
        [(right - confidence) * members for members in inside],
        [np.ones(len(bins))] * BINS,
    )
    measures = {
        BRIER: mean(problems, expit(-margins) ** 2),
        ECE: Measure(gaps, sum_of_absolutes),
    }
    for middle, members in zip((edges[:-1] + edges[1:]) / 2, inside, strict=True):
        if members.any():
            at = round(float(middle), 6)
            measures[Key(ACCURACY, at)] = share_of(problems, right, members)
            measures[Key(CONFIDENCE, at)] = share_of(problems, confidence, members)
    return measures


def sum_of_absolutes(ratios: np.ndarray) -> np.ndarray:
    """Return sum_k |ratio_k| of ratios [K, ...]: each bin's gap, already weighed by its share."""
    return np.abs(ratios).sum(axis=0)
