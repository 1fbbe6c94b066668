"""From the sums of the analyses to two tables: values and differences, both with intervals."""

import numpy as np
import pandas as pd

from steps.config import Experiment
from steps.config.schema import Evaluation
from steps.evaluate.analyses.calibration import ACCURACY, CONFIDENCE
from steps.evaluate.analyses.collect import Collected, Run
from steps.evaluate.analyses.measure import Measure, all_problems
from steps.evaluate.baselines import NO_SEED
from steps.evaluate.rows import Runs, difference_rows, method_rows
from steps.evaluate.statistics import bootstrap_ratios, differences, estimates, ratios
from steps.evaluate.tables import VALUES, comparisons

ANALYSIS_COLUMNS = ["method", "eval_set", "metric", "at", *VALUES]
ANALYSIS_DIFFERENCE_COLUMNS = [
    *("method", "reference", "eval_set", "metric", "at"),
    *(*VALUES, "p_value"),
]
# A bin of confidence holds other pairs for every run, so that nothing is paired.
UNPAIRED = (ACCURACY, CONFIDENCE)


def analysis_tables(
    collected: Collected, experiment: Experiment
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the values and the paired differences.

    Returns:
        Columns `ANALYSIS_COLUMNS` and `ANALYSIS_DIFFERENCE_COLUMNS`. `at` is the place on a curve:
        N, a percentage, or the middle of a bin. n counts the items (pairs, responses, problems or
        tokens) of the run that has most of them; the rest is as in `steps.evaluate.tables`.
    """
    rows, gaps = [], []
    for eval_set, keys in collected.items():
        for key in sorted(keys, key=lambda key: (key.metric, key.at)):
            names = {"eval_set": eval_set} | key._asdict()
            values, compared = _estimate(keys[key], experiment)
            rows += [names | row for row in values]
            if key.metric not in UNPAIRED:
                gaps += [names | row for row in compared]
    return (
        pd.DataFrame(rows, columns=ANALYSIS_COLUMNS),
        pd.DataFrame(gaps, columns=ANALYSIS_DIFFERENCE_COLUMNS),
    )


def _estimate(
    measures: dict[Run, Measure], experiment: Experiment
) -> tuple[list[dict], list[dict]]:
    """Estimate one number on one set for all methods: means over each method's own runs."""
    settings, level = experiment.evaluation, experiment.evaluation.confidence
    of_runs, drawn_of_runs = bootstrap(list(measures.values()), settings)
    counts: dict[str, int] = {}
    runs: Runs = {}
    for (run, measure), value in zip(measures.items(), of_runs, strict=True):
        items = int(measure.sums.denominators[0].sum())
        counts[run.method] = max(counts.get(run.method, 0), items)
        if run.seed != NO_SEED:
            runs.setdefault(run.method, {})[run.seed] = float(value)

    order = list(counts)
    own = [[run.method == method for run in measures] for method in order]
    values = np.array([of_runs[rows].mean() for rows in own])
    drawn = np.array([drawn_of_runs[rows].mean(axis=0) for rows in own])
    named = comparisons(order, experiment.methods)
    a = [order.index(method) for method, _ in named]
    b = [order.index(reference) for _, reference in named]
    gaps = differences(values[a] - values[b], drawn[a] - drawn[b], level)
    shared = [min(counts[method], counts[reference]) for method, reference in named]
    return (
        method_rows(order, estimates(values, drawn, level), list(counts.values()), runs, level),
        difference_rows(named, gaps, shared, runs, level),
    )


def bootstrap(measures: list[Measure], settings: Evaluation) -> tuple[np.ndarray, np.ndarray]:
    """Return the values [M] of M measures of one kind and their distributions [M, resamples].

    With a single problem nothing can be resampled, and the distributions are NaN.
    """
    problems = all_problems([each.sums for each in measures])
    sums = [each.sums.of(problems) for each in measures]
    numerators = np.vstack([each.numerators for each in sums])  # [M * K, P]
    denominators = np.vstack([each.denominators for each in sums])
    kept = (denominators > 0).any(axis=0)
    numerators, denominators = numerators[:, kept], denominators[:, kept]

    combine = measures[0].combine
    points = ratios(numerators.sum(axis=1), denominators.sum(axis=1))
    values = combine(points.reshape(len(measures), -1).T)
    if kept.sum() < 2:
        return values, np.full((len(measures), 1), np.nan)
    drawn = bootstrap_ratios(numerators, denominators, settings)
    drawn = drawn.reshape(len(measures), -1, drawn.shape[1])  # [M, K, resamples]
    return values, combine(drawn.swapaxes(0, 1))
