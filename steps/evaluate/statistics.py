"""Paired percentile bootstrap over problems for ratios of sums and for their differences.

A value is sum_p numerator[p] / sum_p denominator[p] over problems p. Problems are resampled with
replacement, each with all its responses and pairs, since the responses of one problem are not
independent. The same resamples serve every method of a metric, which is what pairs a difference.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from steps.config.schema import Evaluation

# Resamples per batch: bounds the memory at about BATCH x problems x 8 bytes.
BATCH = 1_000
# Sums of thirds are not exact; rounding here makes equal values equal and a zero a zero.
DECIMALS = 12


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; the bounds are NaN where no interval can be given."""

    value: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class Difference(Estimate):
    """An estimate of a difference, with the p-value of `p_value`."""

    p_value: float


def ratios(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    """Divide, giving NaN without a warning where the denominator is 0."""
    undefined = np.full(np.broadcast_shapes(numerators.shape, denominators.shape), np.nan)
    return np.divide(numerators, denominators, out=undefined, where=denominators != 0)


def bootstrap_ratios(
    numerators: np.ndarray, denominators: np.ndarray, settings: Evaluation
) -> np.ndarray:
    """Return the bootstrap distribution [E, resamples] of E ratios over the same P problems.

    `scipy.stats.bootstrap` resamples the numbers of the problems; the sums then follow from how
    often each problem was drawn, as one matrix product for all E ratios.

    Args:
        numerators, denominators: [E, P], P >= 2.
    """
    problems = numerators.shape[1]

    def statistic(drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        drawn = np.atleast_2d(drawn).astype(np.int64)  # [batch, P], numbers of problems
        offsets = problems * np.arange(len(drawn))[:, None]
        counts = np.bincount((drawn + offsets).ravel(), minlength=drawn.size)
        counts = counts.reshape(drawn.shape).astype(np.float64)
        return ratios(numerators @ counts.T, denominators @ counts.T)

    with warnings.catch_warnings():
        # A resample without any item gives NaN, which SciPy warns of; `interval` leaves it out.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        result = stats.bootstrap(
            (np.arange(problems),),
            statistic,
            vectorized=True,
            n_resamples=settings.bootstrap_samples,
            batch=BATCH,
            method="percentile",
            rng=np.random.default_rng(settings.bootstrap_seed),
        )
    return np.round(result.bootstrap_distribution, DECIMALS)


def interval(distribution: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return the percentile interval of one distribution [resamples]; NaNs are left out."""
    defined = distribution[~np.isnan(distribution)]
    if not len(defined):
        return np.nan, np.nan
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def p_value(distribution: np.ndarray) -> float:
    """Return the two-sided bootstrap p-value of "the value is 0" from one distribution [resamples].

    Twice the smaller share of resamples on one side of zero (those at zero are on both), which is
    the level at which the percentile interval begins to exclude zero. One more resample is counted
    on either side (Davison and Hinkley 1997, section 4.2): the p-value is never 0. NaNs are left
    out; without a number it is NaN.
    """
    defined = distribution[~np.isnan(distribution)]
    if not len(defined):
        return np.nan
    beyond = min((defined <= 0).sum(), (defined >= 0).sum())
    return float(min(1.0, 2 * (1 + beyond) / (1 + len(defined))))


def estimate_ratios(
    numerators: np.ndarray,
    denominators: np.ndarray,
    comparisons: list[tuple[int, int]],
    settings: Evaluation,
) -> tuple[list[Estimate], list[Difference]]:
    """Estimate E ratios and the differences between some of them, over the same P problems.

    A difference uses the problems at which both ratios have a denominator. With a single problem
    nothing can be resampled and the intervals are NaN.

    Args:
        numerators, denominators: [E, P].
        comparisons: rows (a, b) to give the difference a - b of.

    Returns:
        E estimates, and one for each comparison.
    """
    count = len(comparisons)
    left = [a for a, _ in comparisons]
    right = [b for _, b in comparisons]
    both = (denominators[left] > 0) & (denominators[right] > 0)
    stacked_numerators = np.vstack([numerators, numerators[left] * both, numerators[right] * both])
    stacked_denominators = np.vstack(
        [denominators, denominators[left] * both, denominators[right] * both]
    )
    values = ratios(stacked_numerators.sum(axis=1), stacked_denominators.sum(axis=1))
    if numerators.shape[1] < 2:
        distribution = np.full((len(values), 1), np.nan)
    else:
        distribution = bootstrap_ratios(stacked_numerators, stacked_denominators, settings)

    rows = len(numerators)
    a, b = slice(rows, rows + count), slice(rows + count, None)
    return (
        estimates(values[:rows], distribution[:rows], settings.confidence),
        differences(values[a] - values[b], distribution[a] - distribution[b], settings.confidence),
    )


def estimates(
    values: Sequence[float], distributions: Iterable[np.ndarray], confidence: float
) -> list[Estimate]:
    """Return the estimates of values [E] from their bootstrap distributions [E, resamples]."""
    return [
        Estimate(*_rounded(value, *interval(distribution, confidence)))
        for value, distribution in zip(values, distributions, strict=True)
    ]


def differences(
    values: Sequence[float], distributions: Iterable[np.ndarray], confidence: float
) -> list[Difference]:
    """Return `estimates` of differences, with their p-values."""
    found = []
    for value, distribution in zip(values, distributions, strict=True):
        drawn = np.round(distribution, DECIMALS)
        found.append(Difference(*_rounded(value, *interval(drawn, confidence)), p_value(drawn)))
    return found


def _rounded(*numbers: float) -> tuple[float, ...]:
    """Round (and turn -0 into 0), so that no noise of the last bit decides a sign."""
    return tuple(float(np.round(number, DECIMALS)) + 0.0 for number in numbers)
