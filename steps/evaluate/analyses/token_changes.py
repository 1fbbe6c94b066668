"""How much the reward changes from token to token, and whether less so at probable tokens.

ICRM pulls the rewards of adjacent prefixes together where the generator found the connecting token
probable. Over all tokens t+1 of all responses, the first of each left out:
- mean |r[t+1] - r[t]|, as it is and divided by the standard deviation of the final rewards (a run
  with small rewards is not a smooth one);
- Pearson's correlation of |r[t+1] - r[t]| with the generator's probability p(y[t+1] | x, y[1..t]);
- mean |r[t+1] - r[t]| in `BINS` equal bins of that probability, divided by the mean over all.
"""

import numpy as np
import pandas as pd

from steps.evaluate.analyses.measure import (
    Key,
    Measure,
    Measures,
    Sums,
    correlation,
    deviation,
    mean,
    problem_sums,
)
from steps.evaluate.load import EvaluationSet
from steps.evaluate.statistics import ratios

BINS = 10
CHANGE = Key("token_change")
RELATIVE_CHANGE = Key("token_change_relative")
CORRELATION = Key("token_change_probability_correlation")
CHANGE_AT = "token_change_at_probability"


def token_changes(eval_set: EvaluationSet, method: str, seed: int) -> Measures:
    """Return the measures of one run; those by probability at the middle of each bin."""
    scores = eval_set.scores[method, seed]
    changes = np.concatenate([np.abs(np.diff(row)) for row in scores["token_rewards"]], dtype=float)
    logs = np.concatenate([row[1:] for row in scores["token_log_probs"]], dtype=float)
    probabilities = np.exp(logs)
    problems = eval_set.problems.repeat(scores["n_tokens"] - 1)
    ones = np.ones(len(changes))
    measures = {
        CHANGE: mean(problems, changes),
        RELATIVE_CHANGE: _relative(eval_set, changes, problems, scores["reward"]),
        CORRELATION: correlation(problems, changes, probabilities),
    }
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    for k in range(BINS):
        inside = (bins == k).astype(float)
        if inside.any():
            sums = problem_sums(problems, [changes * inside, changes], [inside, ones])
            measures[Key(CHANGE_AT, (k + 0.5) / BINS)] = Measure(sums, first_over_second)
    return measures


def _relative(
    eval_set: EvaluationSet, changes: np.ndarray, problems: np.ndarray, rewards: pd.Series
) -> Measure:
    """The mean of changes [tokens] over the standard deviation of rewards [R]."""
    finals = rewards.to_numpy(np.float64)
    responses = np.ones(len(finals))
    token = problem_sums(problems, [changes], [np.ones(len(changes))])
    response = problem_sums(eval_set.problems, [finals, finals**2], [responses, responses])
    token = token.of(response.problems)  # a response of one token has no change
    sums = Sums(
        response.problems,
        np.vstack([token.numerators, response.numerators]),
        np.vstack([token.denominators, response.denominators]),
    )
    return Measure(sums, over_deviation)


def over_deviation(means: np.ndarray) -> np.ndarray:
    """Return the first mean over the standard deviation of what the other two are moments of."""
    return ratios(means[0], deviation(means[1], means[2]))


def first_over_second(means: np.ndarray) -> np.ndarray:
    """Return the first of two means divided by the second."""
    return ratios(means[0], means[1])
