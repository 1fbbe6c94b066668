"""The rows of a result table, from estimates and from the values of the single runs."""

from collections.abc import Sequence
from dataclasses import asdict

from steps.evaluate.seeds import t_half_width, t_half_width_of_difference
from steps.evaluate.statistics import Difference, Estimate

# Method -> seed -> value; baselines, which have no seed, are not in it.
Runs = dict[str, dict[int, float]]


def method_rows(
    methods: Sequence[str],
    found: Sequence[Estimate],
    counts: Sequence[int],
    runs: Runs,
    confidence: float,
) -> list[dict]:
    """Return a row per method."""
    return [
        {
            "method": method,
            "n": int(count),
            "seeds": len(runs.get(method, {})),
            "t_half_width": t_half_width(runs.get(method, {}), confidence),
        }
        | asdict(estimate)
        for method, estimate, count in zip(methods, found, counts, strict=True)
    ]


def difference_rows(
    compared: Sequence[tuple[str, str]],
    found: Sequence[Difference],
    counts: Sequence[int],
    runs: Runs,
    confidence: float,
) -> list[dict]:
    """Return a row per comparison (method, reference)."""
    return [
        {
            "method": method,
            "reference": reference,
            "n": int(count),
            # A baseline has no seed, and none is missing.
            "seeds": min(len(runs[name]) for name in (method, reference) if name in runs),
            "t_half_width": t_half_width_of_difference(
                runs[method], runs.get(reference), confidence
            ),
        }
        | asdict(gap)
        for (method, reference), gap, count in zip(compared, found, counts, strict=True)
    ]
