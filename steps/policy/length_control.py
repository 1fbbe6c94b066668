"""The length-controlled win rate: how often A would win were its answers as long as B's.

As in AlpacaEval 2 (arXiv 2404.04475), in a simple form. A logistic regression explains the wins of
A over B by the difference of lengths d (tokens of A's answer minus those of B's),

    logit P(A wins) = theta + phi tanh(d / s),   s = standard deviation of d,

a tie counting as half a win; the controlled rate is sigma(theta), the fitted probability at d = 0.
AlpacaEval's own model also has a difficulty of every instruction, known from many models, and a
penalty on its weights; two policies alone cannot tell such a difficulty.

Limits: one effect of length for all prompts, monotone and flat at its ends; quality that really
needs words is taken away with the rest; and sigma(theta) is an extrapolation where one policy is
always the longer one.
"""

import warnings

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.special import expit
from scipy.stats import norm
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

from steps.evaluate.statistics import Estimate

UNDEFINED = Estimate(np.nan, np.nan, np.nan)


def length_controlled(duels: pd.DataFrame, confidence: float) -> Estimate:
    """Return the length-controlled win rate with its Wald interval.

    The interval's standard error is clustered by prompt, whose duels are not independent.

    Args:
        duels: one row per two answers: group_id, outcome (1, 0.5 or 0 for A), length_difference.

    Returns:
        NaN where length or a constant outcome separates all wins from all losses.
    """
    spread = duels["length_difference"].std(ddof=0)
    design = np.ones((len(duels), 1))
    if spread > 0:
        bent = np.tanh(duels["length_difference"].to_numpy() / spread)
        design = np.column_stack([design, bent])
    codes, prompts = pd.factorize(duels["group_id"])
    if len(prompts) < 2:
        return UNDEFINED
    model = sm.GLM(duels["outcome"].to_numpy(), design, sm.families.Binomial())
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        warnings.simplefilter("error", PerfectSeparationWarning)
        try:
            fit = model.fit(cov_type="cluster", cov_kwds={"groups": codes})
        except PerfectSeparationWarning:
            return UNDEFINED
    theta, error = fit.params[0], fit.bse[0]
    if not fit.converged or not np.isfinite(error):
        return UNDEFINED
    reach = norm.ppf(1 - (1 - confidence) / 2) * error
    return Estimate(*(float(expit(value)) for value in (theta, theta - reach, theta + reach)))
