"""What an analysis returns for one run on one set: sums over problems, and what to make of them.

A number is a function of K ratios sum_p numerator[k, p] / sum_p denominator[k, p] over problems p:
a mean is the ratio itself (K = 1), a correlation a function of five means.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from steps.evaluate.statistics import ratios

# Below this share of the mean square, a variance is what rounding leaves of zero.
LEAST_VARIANCE = 1e-12


class Key(NamedTuple):
    """What a number is called, and where on a curve it lies (NaN: it is not part of one)."""

    metric: str
    at: float = np.nan


@dataclass(frozen=True)
class Sums:
    """K numerators and denominators of P problems.

    Attributes:
        problems: [P], group_ids in sorted order.
        numerators, denominators: [K, P].
    """

    problems: np.ndarray
    numerators: np.ndarray
    denominators: np.ndarray

    def of(self, problems: np.ndarray) -> "Sums":
        """Return the sums of other problems, all of ours among them; the others have zeros."""
        if len(problems) == len(self.problems):
            return self
        places = np.searchsorted(problems, self.problems)
        numerators, denominators = np.zeros((2, len(self.numerators), len(problems)))
        numerators[:, places], denominators[:, places] = self.numerators, self.denominators
        return Sums(problems, numerators, denominators)


@dataclass(frozen=True)
class Measure:
    """One number of one run.

    Attributes:
        combine: maps ratios [K, ...] to numbers [...], NaN where they are undefined.
    """

    sums: Sums
    combine: Callable[[np.ndarray], np.ndarray]


Measures = dict[Key, Measure]


def problem_sums(
    problems: np.ndarray, numerators: list[np.ndarray], denominators: list[np.ndarray]
) -> Sums:
    """Sum K numerators and denominators, each [items], over the problems [items] of the items."""
    codes, names = pd.factorize(np.asarray(problems, dtype=object), sort=True)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(codes, values, minlength=len(names))

    return Sums(names, np.array([*map(total, numerators)]), np.array([*map(total, denominators)]))


def all_problems(sums: list[Sums]) -> np.ndarray:
    """Return the problems of any of ``sums``, sorted."""
    return np.array(sorted(set().union(*(each.problems for each in sums))), dtype=object)


def mean(problems: np.ndarray, values: np.ndarray) -> Measure:
    """Return the mean of the values [items]."""
    return Measure(problem_sums(problems, [values], [np.ones(len(values))]), first)


def share_of(problems: np.ndarray, values: np.ndarray, chosen: np.ndarray) -> Measure:
    """Return the mean of those values [items] that are chosen; bool [items]."""
    return mean(problems[chosen], values[chosen])


def correlation(problems: np.ndarray, x: np.ndarray, y: np.ndarray) -> Measure:
    """Return Pearson's correlation of x and y, each [items], over all items together."""
    ones = np.ones(len(x))
    return Measure(problem_sums(problems, [x, y, x * x, y * y, x * y], [ones] * 5), pearson)


def first(means: np.ndarray) -> np.ndarray:
    """Return the only ratio."""
    return means[0]


def pearson(means: np.ndarray) -> np.ndarray:
    """Return the correlation from the means of x, y, x^2, y^2 and xy; NaN if one is constant."""
    x, y, xx, yy, xy = means
    deviations = deviation(x, xx) * deviation(y, yy)
    return np.clip(ratios(xy - x * y, deviations), -1, 1)


def deviation(x: np.ndarray, xx: np.ndarray) -> np.ndarray:
    """Return the standard deviation from the means of x and x^2; 0 where only rounding is left."""
    variance = xx - x * x
    return np.sqrt(np.where(variance > LEAST_VARIANCE * xx, variance, 0))
