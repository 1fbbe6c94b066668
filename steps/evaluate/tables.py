"""From per-problem sums to the two result tables, with intervals."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from steps.config import Experiment
from steps.evaluate.baselines import BASELINES, REFERENCES
from steps.evaluate.csv_files import write_csv_files
from steps.evaluate.manifest import write_manifest
from steps.evaluate.rows import difference_rows, method_rows
from steps.evaluate.seeds import single_seeds
from steps.evaluate.statistics import estimate_ratios
from steps.files import atomic_path

VALUES = ["value", "ci_low", "ci_high", "n", "seeds", "t_half_width"]
METRIC_COLUMNS = ["method", "eval_set", "metric", *VALUES]
DIFFERENCE_COLUMNS = ["method", "reference", "eval_set", "metric", *VALUES, "p_value"]


def result_tables(
    sums: pd.DataFrame, experiment: Experiment
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the tables of metrics, of differences and of the single seeds.

    Args:
        sums: the columns of `steps.evaluate.collect.collect`.

    Returns:
        Columns `METRIC_COLUMNS`, `DIFFERENCE_COLUMNS`, `SEED_COLUMNS`. n counts the items (pairs,
        problems or responses) behind a number, seeds the runs (0 for a baseline, 1 for an
        ensemble; of a difference the fewer of its two methods). A value is the mean over runs;
        its interval is over problems. t_half_width is half of the interval over runs, empty for
        fewer than two; p_value is that of the bootstrap over problems.
    """
    seeds = single_seeds(sums)
    metrics, differences = [], []
    for (eval_set, metric), part in sums.groupby(["eval_set", "metric"], sort=False):
        keys = {"eval_set": eval_set, "metric": metric}
        of_runs = seeds[(seeds["eval_set"] == eval_set) & (seeds["metric"] == metric)]
        values, gaps = _estimate(part, of_runs, experiment)
        metrics += [keys | row for row in values]
        differences += [keys | row for row in gaps]
    return (
        pd.DataFrame(metrics, columns=METRIC_COLUMNS),
        pd.DataFrame(differences, columns=DIFFERENCE_COLUMNS),
        seeds,
    )


def comparisons(
    methods: list[str], trained: list[str], reference_models: Iterable[str] = ()
) -> list[tuple[str, str]]:
    """Return (method, reference): each trained method against those before it, the baselines and
    the models of others.
    """
    present = [method for method in trained if method in methods]
    references = [name for name in (*REFERENCES, *reference_models) if name in methods]
    return [
        (method, reference)
        for place, method in enumerate(present)
        for reference in [*present[:place], *references]
    ]


def _estimate(
    part: pd.DataFrame, of_runs: pd.DataFrame, experiment: Experiment
) -> tuple[list[dict], list[dict]]:
    """Estimate one metric on one set for all methods.

    Args:
        part: the sums of that metric on that set.
        of_runs: the values of its single runs.
    """
    trained, settings = experiment.methods, experiment.evaluation
    known = [*trained, *experiment.reference_models, *BASELINES]
    cells = part.groupby(["method", "group_id"])
    # The mean over a method's own runs; a problem that a method has no item of counts nothing.
    means = cells[["numerator", "denominator"]].mean().unstack("group_id", fill_value=0.0)
    items = cells["denominator"].max().unstack("group_id", fill_value=0.0)
    order = [m for m in known if m in means.index and items.loc[m].sum() > 0]
    # A problem without any item would only add resamples without one.
    kept = items.columns[(items.loc[order] > 0).any()]
    numerators = means["numerator"].loc[order, kept].to_numpy()
    denominators = means["denominator"].loc[order, kept].to_numpy()

    named = comparisons(order, trained, experiment.reference_models)
    places = [(order.index(a), order.index(b)) for a, b in named]
    values, gaps = estimate_ratios(numerators, denominators, places, settings)
    counts = items.loc[order, kept].to_numpy()
    by_method = of_runs.set_index("seed").groupby("method")["value"]
    runs = {method: values_of.to_dict() for method, values_of in by_method}
    shared = [np.minimum(counts[a], counts[b]).sum() for a, b in places]
    level = settings.confidence
    return (
        method_rows(order, values, counts.sum(axis=1), runs, level),
        difference_rows(named, gaps, shared, runs, level),
    )


def write_tables(
    folder: Path,
    tables: dict[str, pd.DataFrame],
    experiment: Experiment,
    models: dict[tuple[str, int], str],
) -> None:
    """Write the tables, by file name, and their manifest into ``folder``, atomically.

    Numbers have six significant digits.

    Args:
        models: for each (method, seed) the SHA-256 of its model.
    """
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        write_csv_files(temporary, tables)
        write_manifest(temporary, tables, experiment, models)
