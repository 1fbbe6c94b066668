"""Holm's correction of the p-values below the main table and below those of benchmarks.

Three questions are asked there, and each is a family of its own, so that a further baseline takes
nothing from the comparison of the methods: do the trained methods differ, do they beat rules that
need no training, and do they beat the models of others? A family is every comparison that its list
of sentences makes. Corrected are the p-values of the bootstrap over problems, which knows that the
pairs of a problem belong together, as McNemar's test over pairs does not.
"""

import math

import pandas as pd
from statsmodels.stats.multitest import multipletests

from steps.config.schema import Evaluation as Settings

CORRECTED = "p_corrected"


def correct(family: pd.DataFrame) -> pd.DataFrame:
    """Return the differences of one family with the column `CORRECTED`; NaN where there is no p."""
    known = family["p_value"].notna()
    corrected = pd.Series(float("nan"), index=family.index)
    if known.any():
        corrected[known] = multipletests(family.loc[known, "p_value"], method="holm")[1]
    return family.assign(**{CORRECTED: corrected})


def too_few_resamples(comparisons: int, settings: Settings) -> str:
    """Say so where even the smallest p-value of a bootstrap could not pass the correction."""
    level = 1 - settings.confidence
    if comparisons * 2 / (settings.bootstrap_samples + 1) <= level:
        return ""
    enough = math.ceil(2 * comparisons / level)
    return (
        f"The {settings.bootstrap_samples:,} resamples are too few for {comparisons} comparisons, "
        f"no p-value could pass; set evaluation.bootstrap_samples to {enough:,} or more"
    )


def p_text(p_value: float) -> str:
    """A p-value with two digits."""
    return f"{p_value:.2g}"
