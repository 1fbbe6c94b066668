"""What the differences of a benchmark's numbers show, and what they cannot show.

Every list of comparisons is a family of its own, within which the p-values are corrected; see
`steps.report.holm`.
"""

from collections.abc import Collection
from typing import NamedTuple

import pandas as pd

from steps.config import Experiment
from steps.config.schema import Evaluation as Settings
from steps.evaluate.baselines import REFERENCES
from steps.report.benchmark_table import FOLDER, BenchmarkResult, percent, percent_interval
from steps.report.conclusions import LEAST_SHOWN, in_sentence, seed_caution, summary, verdict
from steps.report.holm import CORRECTED, correct, p_text
from steps.report.main_table import MISSING, ONE_RUN, Cell
from steps.report.markdown import bullets, grid
from steps.report.names import method_title

BETTER = {"higher": "better than", "lower": "worse than"}  # by the verdict
UNTOLD = "cannot be told from"
STANDS = "*"
NOTHING = (
    "Nothing: no number is given for a trained method and for another row of the table on the same "
    "items.\n"
)


def conclusions(result: BenchmarkResult, experiment: Experiment) -> list[str]:
    """Return the parts of a Markdown section: each family in words, then all differences."""
    settings = experiment.evaluation
    lists = {
        "Between the trained methods": experiment.methods,
        "Against rules that need no training": REFERENCES,
        "Against the reference models": experiment.reference_models,
    }
    families = {heading: _family(result, references) for heading, references in lists.items()}
    families = {heading: family for heading, family in families.items() if len(family)}
    if not families:
        return [NOTHING]
    parts = []
    for heading, family in families.items():
        sentences = [
            _sentence(method, rows, settings)
            for method, rows in family.groupby("method", sort=False)
        ]
        numbers = ", ".join(family["number"].unique())
        parts += [f"{heading} ({numbers}):\n", bullets(summary(family, settings) + sentences)]
    every = pd.concat(families.values())
    return [*parts, _table(every, settings), _how_to_read(result, every, settings)]


def _family(result: BenchmarkResult, references: Collection[str]) -> pd.DataFrame:
    """Return the differences to ``references``, corrected: of the headline numbers, or of all the
    others where every headline number is refused.
    """
    table = result.differences[result.differences["reference"].isin(list(references))]
    headline = table["number"].isin(result.benchmark.headline)
    return correct(table[headline | ~headline.any()])


def _sentence(method: str, rows: pd.DataFrame, settings: Settings) -> str:
    """Name what the method is better than, worse than, or cannot be told from."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in rows.itertuples(index=False):
        numbers = found.setdefault(_reading(row, settings), {})
        numbers.setdefault(in_sentence(row.reference), []).append(_qualified(row))
    given = rows["reference"].map(in_sentence).value_counts()
    parts = []
    for reading in sorted(found, key=lambda reading: reading == UNTOLD):
        named = [
            _where(reading, reference, numbers, given[reference])
            for reference, numbers in found[reading].items()
        ]
        parts.append(f"{reading} {', '.join(named)}")
    return f"{method_title(method)}: {'; '.join(parts)}."


def _reading(row: NamedTuple, settings: Settings) -> str:
    """What the interval and the correction together say of the method beside the reference."""
    better = BETTER.get(verdict(row.value, row.ci_low, row.ci_high))
    if better is None:
        return UNTOLD
    return better if _stands(row, settings) else f"by itself, not after correction, {better}"


def _stands(row: NamedTuple, settings: Settings) -> bool:
    return getattr(row, CORRECTED) <= 1 - settings.confidence and abs(row.value) >= LEAST_SHOWN


def _qualified(row: NamedTuple) -> str:
    """The number, with p-values and what else must be known of a difference."""
    p_values = f"p {p_text(row.p_value)}, corrected {p_text(getattr(row, CORRECTED))}"
    caution = seed_caution(row.value, row.t_half_width)
    return f"{row.number} ({', '.join(filter(None, (p_values, caution)))})"


def _where(reading: str, reference: str, numbers: list[str], given: int) -> str:
    if reading != UNTOLD:
        return f"{reference} in {', '.join(numbers)}"
    return reference if len(numbers) == given else f"{reference} (in {len(numbers)} of {given})"


def _table(differences: pd.DataFrame, settings: Settings) -> str:
    """All differences: compared rows down, numbers across."""
    counts = differences.groupby("number", sort=False)["n"].max()
    rows = []
    for (method, reference), own in differences.groupby(["method", "reference"], sort=False):
        cells = {row.number: _cell(row, counts[row.number], settings) for row in own.itertuples()}
        rows.append(
            [
                f"{method_title(method)} - {method_title(reference)}",
                str(own["seeds"].iloc[0]),
                *(str(cells.get(number, MISSING)) for number in counts.index),
            ]
        )
    header = ["difference", "seeds", *counts.index]
    return grid(header, [*rows, ["n", "", *map(str, counts)]])


def _cell(row: NamedTuple, most: int, settings: Settings) -> Cell:
    value = percent(row.value, "+") + (STANDS if _stands(row, settings) else "")
    spread = "" if pd.isna(row.t_half_width) else f"±{percent(row.t_half_width)}"
    marks = (ONE_RUN if row.seeds == 1 else "", f"(n = {row.n})" if row.n != most else "")
    mark = " ".join(filter(None, marks))
    return Cell(value, percent_interval(row.ci_low, row.ci_high, "+"), spread, mark)


def _how_to_read(result: BenchmarkResult, differences: pd.DataFrame, settings: Settings) -> str:
    level = 1 - settings.confidence
    one_run = f"{ONE_RUN} one run only. " if (differences["seeds"] == 1).any() else ""
    return (
        "Differences in points of percent, paired over the same prompts; in brackets the "
        f"{100 * settings.confidence:g}% bootstrap interval over prompts, ± half of the t-interval "
        f"over seeds. {STANDS} stands after Holm's correction, which is for all comparisons of one "
        f"list above together. {one_run}What does not stand is a hint, not a proof; what cannot be "
        "told apart need not be equal: the interval says how large a difference may be. Rows that "
        "count other items are not compared. The differences of all parts are in "
        f"{FOLDER}/{result.name}/differences.csv, not corrected: of many, about one in "
        f"{1 / level:.0f} excludes zero by chance alone.\n"
    )
