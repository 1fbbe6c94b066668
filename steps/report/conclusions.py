"""Plain sentences on what the differences show, and what they cannot show."""

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd
from scipy.stats import norm

from steps.config.schema import Evaluation as Settings
from steps.evaluate.baselines import REFERENCES
from steps.report.holm import CORRECTED, correct, p_text, too_few_resamples
from steps.report.load import Evaluation
from steps.report.main_table import format_interval, main_columns
from steps.report.names import method_title, metric_title, set_title

UNSEEN = "no difference can be seen"
NO_INTERVAL = "one problem alone gives no interval"
POWER = 0.8
# Half of the last decimal that tables show. Less than that, rounding alone can make.
LEAST_SHOWN = 0.0005


def verdict(value: float, low: float, high: float) -> str:
    """Read a difference and its interval: higher, lower, or nothing that can be seen."""
    if abs(value) < LEAST_SHOWN and low <= high:
        return UNSEEN
    if low > 0:
        return "higher"
    if high < 0:
        return "lower"
    return UNSEEN if low <= high else NO_INTERVAL


def needed(value: float, low: float, high: float, confidence: float) -> str:
    """Say how many times as many problems would show a difference of this size, if it is real.

    A half-width h shrinks with the root of the number of problems; with 80 % probability the
    interval excludes zero once |value| = h (1 + z_0.8 / z), z the normal quantile of the interval.
    """
    if not low <= 0 <= high or value == 0:
        return ""
    quantile = norm.ppf(1 - (1 - confidence) / 2)
    factor = ((high - low) / 2 / abs(value) * (1 + norm.ppf(POWER) / quantile)) ** 2
    times = "more than 100" if factor > 100 else f"about {factor:.1f}"
    return f"a true difference of this size would need {times} times as many problems"


def between_trained(evaluation: Evaluation, trained: list[str]) -> pd.DataFrame:
    """The family of comparisons of two trained methods, see `family`."""
    return family(evaluation, headlines(evaluation, same_model=False), trained)


def against_baselines(evaluation: Evaluation) -> pd.DataFrame:
    """The family of comparisons of a trained method with a baseline, see `family`."""
    return family(evaluation, headlines(evaluation, same_model=True), list(REFERENCES))


def against_reference_models(evaluation: Evaluation, names: Iterable[str]) -> pd.DataFrame:
    """The family of comparisons of a trained method with a model of others, see `family`."""
    return family(evaluation, headlines(evaluation, same_model=True), list(names))


def seed_caution(value: float, t_half_width: float) -> str:
    """Say so where other seeds might give a difference of the other sign."""
    return "within the spread over seeds" if t_half_width >= abs(value) else ""


def exploratory(settings: Settings) -> str:
    """Say what differences that are not corrected for their number cannot show."""
    return (
        "no difference above is corrected for how many there are, and about one in "
        f"{1 / (1 - settings.confidence):.0f} excludes zero by chance"
    )


def family(
    evaluation: Evaluation, columns: list[tuple[str, str]], references: list[str]
) -> pd.DataFrame:
    """Return the differences to ``references`` in the (set, metric) of ``columns``, corrected.

    Returns:
        The rows of ``differences`` with the columns `CORRECTED` and ``number``: set and metric in
        words.
    """
    table = evaluation.differences
    table = table[table["reference"].isin(references)]
    parts = [
        table[(table["eval_set"] == eval_set) & (table["metric"] == metric)]
        for eval_set, metric in columns
    ]
    found = correct(pd.concat([table.iloc[:0], *parts]))
    words = [
        f"{metric_title(row.metric)}, {set_title(row.eval_set)}"
        for row in found.itertuples(index=False)
    ]
    return found.assign(number=words)


def summary(family: pd.DataFrame, settings: Settings) -> list[str]:
    """Say what of a family can be concluded after the correction.

    Args:
        family: differences with the columns `CORRECTED` and ``number``, what is compared in words.
    """
    level = 1 - settings.confidence
    count = f"these {len(family)} comparisons" if len(family) > 1 else "this one comparison"
    start = f"After Holm's correction for {count} at a level of {level:.2g}"
    kept = family[(family[CORRECTED] <= level) & (family["value"].abs() >= LEAST_SHOWN)]
    if len(kept):
        found = [f"{start}, this can be concluded ({len(kept)} of {len(family)}):"]
        found[0] += f" {'; '.join(_findings(kept))}."
    else:
        found = [f"{start}, nothing can be concluded; what looks like a difference is a hint."]
    few = too_few_resamples(len(family), settings)
    return [*found, f"{few}."] if few else found


def _findings(kept: pd.DataFrame) -> list[str]:
    """What stands after the correction, for each number."""
    found = []
    for number, rows in kept.groupby("number", sort=False):
        parts = [
            f"{method_title(row.method)} {'higher' if row.value > 0 else 'lower'} than "
            f"{in_sentence(row.reference)}"
            for row in rows.itertuples(index=False)
        ]
        found.append(f"{number}: {', '.join(parts)}")
    return found


def sentences_between(family: pd.DataFrame, settings: Settings) -> list[str]:
    """One sentence for each two trained methods and headline metric."""
    return [
        f"{method_title(row.method)} - {method_title(row.reference)}, {row.number}: "
        f"{signed(row.value, row.ci_low, row.ci_high)}: {_reading(row, settings)}"
        + ("; one run only." if row.seeds == 1 else ".")
        for row in family.itertuples(index=False)
    ]


def sentences_against(
    family: pd.DataFrame, evaluation: Evaluation, settings: Settings
) -> list[str]:
    """One sentence for each trained method and headline metric, naming all references."""
    sentences = []
    for (eval_set, metric, number, method), rows in family.groupby(
        ["eval_set", "metric", "number", "method"], sort=False
    ):
        value = evaluation.cell(method, eval_set, metric)["value"]
        mark = ", one run only" if (rows["seeds"] == 1).any() else ""
        against = [
            f"{in_sentence(row.reference)} ({signed(row.value, row.ci_low, row.ci_high)}: "
            f"{_reading(row, settings)})"
            for row in rows.itertuples(index=False)
        ]
        sentences.append(
            f"{method_title(method)}, {number} ({value:.3f}{mark}), against {', '.join(against)}."
        )
    return sentences


def _reading(row: NamedTuple, settings: Settings) -> str:
    """Read one row of a family: its interval, its p-values, and what would be needed."""
    reading = verdict(row.value, row.ci_low, row.ci_high)
    if reading == NO_INTERVAL:
        return reading
    p_values = f"p {p_text(row.p_value)}, corrected {p_text(row.p_corrected)}"
    if reading in ("higher", "lower"):
        stands = row.p_corrected <= 1 - settings.confidence
        reading += "" if stands else " by itself, not after correction"
        caution = seed_caution(row.value, row.t_half_width)
        return ", ".join(filter(None, (reading, p_values, caution)))
    detail = needed(row.value, row.ci_low, row.ci_high, settings.confidence)
    return "; ".join(filter(None, (f"{reading}, {p_values}", detail)))


def in_sentence(method: str) -> str:
    """A title within a sentence: a baseline's is no name."""
    title = method_title(method)
    return title[0].lower() + title[1:] if method in REFERENCES else title


def headlines(evaluation: Evaluation, same_model: bool) -> list[tuple[str, str]]:
    """The (set, metric) that sentences are written for: the main table's, best-of-N pooled."""
    columns = [
        (name, metric)
        for name, metric in main_columns(evaluation)
        if not metric.startswith("best_of_")
        and (same_model or metric != "pair_accuracy_same_model")
    ]
    widest = evaluation.widest_set
    if widest is not None:
        columns += [(widest, f"best_of_{drawn}") for drawn in evaluation.best_of(widest)[-1:]]
    return columns


def signed(value: float, low: float, high: float) -> str:
    """A difference with its sign and interval."""
    return f"{value:+.3f} {format_interval(low, high, '+')}"


def seed_spread(evaluation: Evaluation, trained: list[str]) -> list[str]:
    """How far single training runs of one method lie apart, in pair accuracy."""
    sentences = []
    for eval_set in evaluation.pair_sets:
        parts = []
        for method in trained:
            table = evaluation.seeds
            values = table.loc[
                (table["eval_set"] == eval_set)
                & (table["metric"] == "pair_accuracy")
                & (table["method"] == method),
                "value",
            ]
            if len(values) > 1:
                parts.append(f"{method_title(method)} {values.min():.3f} to {values.max():.3f}")
        if parts:
            sentences.append(
                f"Single seeds, pair accuracy, {set_title(eval_set)}: {', '.join(parts)}."
            )
    return sentences
