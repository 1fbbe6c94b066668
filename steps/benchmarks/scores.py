"""The scores of a benchmark as a table: values, intervals, counts, and what must be known of them.

A number that lacks a subset is refused: its value is empty and the note says why. A number whose
subsets have another number of items than the publisher's, or truncated items, is given and marked.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from steps.benchmarks.benchmark import Benchmark
from steps.benchmarks.numbers import Number, estimate
from steps.config.schema import Evaluation
from steps.evaluate.statistics import Estimate
from steps.files import atomic_path

COLUMNS = ["number", "value", "ci_low", "ci_high", "n", "truncated", "note"]
MARKED = "marked: "
REFUSED = Estimate(np.nan, np.nan, np.nan)


def score_table(items: pd.DataFrame, benchmark: Benchmark, settings: Evaluation) -> pd.DataFrame:
    """Return the numbers of the benchmark, columns `COLUMNS`.

    n counts the items behind a number, truncated those of them that the model did not see whole.

    Args:
        items: checked, columns `steps.benchmarks.items.ITEMS`, in any order.
    """
    counts = count_items(items)
    numbers = benchmark.numbers(set(counts.index))
    estimates = estimate(benchmark.means(items), numbers, settings)
    rows = []
    for number, found in zip(numbers, estimates, strict=True):
        note = note_of(number, benchmark, counts, found.value)
        if is_refusal(note):
            found = REFUSED
        used = counts.reindex(number.subsets, fill_value=0).sum()
        bounds = (found.value, found.ci_low, found.ci_high)
        rows.append((number.name, *bounds, used["n"], used["truncated"], note))
    return pd.DataFrame(rows, columns=COLUMNS)


def count_items(items: pd.DataFrame) -> pd.DataFrame:
    """Return the number of items of each subset, and how many of them are truncated."""
    return items.groupby("subset")["truncated"].agg(n="size", truncated="sum")


def note_of(number: Number, benchmark: Benchmark, counts: pd.DataFrame, value: float) -> str:
    """Return what must be known of a number: why it is refused, or what marks it.

    Args:
        counts: of `count_items`.
        value: of the number, NaN where a mean has no item.
    """
    missing = [f"'{subset}'" for subset in number.subsets if subset not in counts.index]
    if missing:
        return f"refused: no item of {', '.join(missing)}"
    # Only the means over questions of Ties can be without a prompt when there are items.
    if np.isnan(value):
        return "refused: no question of Ties has the prompts that the rule needs"
    found = counts.loc[list(number.subsets)]
    marks = [
        f"'{subset}' has {n} items instead of {benchmark.subsets[subset].rows}"
        for subset, n in found["n"].items()
        if n != benchmark.subsets[subset].rows
    ]
    if found["truncated"].any():
        marks.append(f"{found['truncated'].sum()} truncated")
    return MARKED + "; ".join(marks) if marks else ""


def marks_in(note: str) -> list[str]:
    """Return the marks of a note that is no refusal."""
    return note.removeprefix(MARKED).split("; ")


def is_refusal(note: str) -> bool:
    """Whether a number with this note has no value."""
    return note.startswith("refused")


def write_scores(path: Path, table: pd.DataFrame) -> None:
    """Write the table as CSV, atomically; numbers have six significant digits."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
