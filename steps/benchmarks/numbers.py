"""A reported number is a weighted sum of means over prompts.

All scores of all benchmarks have this form, so one bootstrap over prompts gives the interval of
each. The means come as one long table with the columns `MEANS`: a mean is
sum(numerator) / sum(denominator) over its prompts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from steps.config.schema import Evaluation
from steps.evaluate.statistics import (
    Difference,
    Estimate,
    bootstrap_ratios,
    differences,
    estimates,
    ratios,
)

MEANS = ["mean", "prompt", "numerator", "denominator"]


@dataclass(frozen=True)
class Number:
    """A weighted sum of means.

    Attributes:
        weights: by the name of the mean.
        subsets: whose items it is made of; it needs all of them.
    """

    name: str
    weights: dict[str, float]
    subsets: tuple[str, ...]


def average(name: str, parts: Sequence[Number], weights: Sequence[float] | None = None) -> Number:
    """Return the average of ``parts`` as a number of its own, plain or weighted."""
    given = np.ones(len(parts)) if weights is None else np.asarray(weights, dtype=np.float64)
    combined: dict[str, float] = {}
    for part, share in zip(parts, given / given.sum(), strict=True):
        for mean, weight in part.weights.items():
            combined[mean] = combined.get(mean, 0.0) + float(share) * weight
    subsets = dict.fromkeys(subset for part in parts for subset in part.subsets)
    return Number(name, combined, tuple(subsets))


def shares(mean: str | Sequence[str], prompts: Sequence[str], hits: np.ndarray) -> pd.DataFrame:
    """Return the rows of a mean in which every prompt counts once.

    Args:
        mean: one name, or one for each prompt.
        hits: [prompts].
    """
    columns = {"mean": mean, "prompt": prompts, "numerator": hits, "denominator": 1.0}
    return pd.DataFrame(columns, columns=MEANS)


def point_values(means: pd.DataFrame, numbers: list[Number]) -> list[float]:
    """Return the numbers; NaN where a mean has no item."""
    totals = means.groupby("mean")[["numerator", "denominator"]].sum()
    values = ratios(totals["numerator"].to_numpy(), totals["denominator"].to_numpy())
    by_name = dict(zip(totals.index, values, strict=True))
    return [
        float(sum(weight * by_name.get(mean, np.nan) for mean, weight in number.weights.items()))
        for number in numbers
    ]


def estimate(means: pd.DataFrame, numbers: list[Number], settings: Evaluation) -> list[Estimate]:
    """Return the numbers with percentile intervals from one bootstrap over prompts.

    All responses of a prompt are drawn together, and all numbers see the same draws. With a single
    prompt, and for a number that lacks a mean, there is no interval (NaN); without any, no value.
    """
    values = point_values(means, numbers)
    return estimates(values, _drawn(means, numbers, settings), settings.confidence)


def estimate_differences(
    means: pd.DataFrame, numbers: list[Number], settings: Evaluation
) -> list[Difference]:
    """Return `estimate` of numbers that are differences, with the p-value of "it is 0"."""
    values = point_values(means, numbers)
    return differences(values, _drawn(means, numbers, settings), settings.confidence)


def _drawn(
    means: pd.DataFrame, numbers: list[Number], settings: Evaluation
) -> Iterator[np.ndarray]:
    """Yield the bootstrap distribution [resamples] of each number; NaN if it lacks a mean."""
    if means.empty:
        yield from [np.array([np.nan])] * len(numbers)
        return
    # Prompts in sorted order: the interval does not depend on the order of the rows.
    table = means.pivot(index="mean", columns="prompt", values=["numerator", "denominator"])
    table = table.fillna(0.0)
    rows = {mean: row for row, mean in enumerate(table.index)}
    if table["numerator"].shape[1] < 2:
        distribution = np.full((len(rows), 1), np.nan)
    else:
        sums = (table[part].to_numpy(np.float64) for part in ("numerator", "denominator"))
        distribution = bootstrap_ratios(*sums, settings)
    for number in numbers:
        if number.weights.keys() <= rows.keys():
            chosen = distribution[[rows[mean] for mean in number.weights]]
            yield np.array(list(number.weights.values())) @ chosen
        else:
            yield np.array([np.nan])
