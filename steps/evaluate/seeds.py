"""How much training alone moves a number: single runs, and Student's t-interval of their mean.

It answers another question than the bootstrap over problems: not "what if other problems had been
drawn?" but "what if the models had been trained with other seeds?".
"""

import numpy as np
import pandas as pd
from scipy.special import stdtrit  # quantile of Student's t

from steps.evaluate.baselines import NO_SEED
from steps.evaluate.statistics import DECIMALS

SEED_COLUMNS = ["method", "seed", "eval_set", "metric", "value"]


def single_seeds(sums: pd.DataFrame) -> pd.DataFrame:
    """Return the value of each run by itself, columns `SEED_COLUMNS`.

    Args:
        sums: the columns of `steps.evaluate.collect.collect`.
    """
    trained = sums[sums["seed"] != NO_SEED]
    totals = trained.groupby(SEED_COLUMNS[:-1], sort=False)[["numerator", "denominator"]].sum()
    totals = totals[totals["denominator"] > 0]
    values = (totals["numerator"] / totals["denominator"]).rename("value")
    return values.reset_index()[SEED_COLUMNS]


def t_half_width(values: dict[int, float], confidence: float) -> float:
    """Return half the width of the t-interval of the mean of runs, by seed; NaN for fewer than two.

    The interval is mean +- t * s / sqrt(k), with k - 1 degrees of freedom.
    """
    runs = np.array([value for value in values.values() if not np.isnan(value)])
    if len(runs) < 2:
        return np.nan
    standard_error = runs.std(ddof=1) / np.sqrt(len(runs))
    return float(np.round(standard_error * stdtrit(len(runs) - 1, (1 + confidence) / 2), DECIMALS))


def t_half_width_of_difference(
    method: dict[int, float], reference: dict[int, float] | None, confidence: float
) -> float:
    """Return `t_half_width` of a difference.

    Runs with the same seed see the same data in the same order and are paired.

    Args:
        reference: None for a baseline, which has no seed and does not vary.
    """
    if reference is None:
        return t_half_width(method, confidence)
    common = method.keys() & reference.keys()
    return t_half_width({seed: method[seed] - reference[seed] for seed in common}, confidence)
