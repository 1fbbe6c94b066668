"""The scores of a benchmark as a table: values, intervals, counts, and what must be known of them.

A number that lacks a subset is refused: its value is empty and the note says why. A number whose
subsets have another number of items than the publisher's, items that are left out, or truncated
ones, is given and marked.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from steps.benchmarks.benchmark import Benchmark
from steps.benchmarks.items import counted
from steps.benchmarks.numbers import Number, estimate
from steps.config.schema import Evaluation
from steps.evaluate.statistics import Estimate
from steps.files import atomic_path

COLUMNS = ["number", "value", "ci_low", "ci_high", "n", "left_out", "truncated", "note"]
MARKED = "marked: "
COUNTS = ["n", "left_out", "truncated"]
REFUSED = Estimate(np.nan, np.nan, np.nan)


def score_table(items: pd.DataFrame, benchmark: Benchmark, settings: Evaluation) -> pd.DataFrame:
    """Return the numbers of the benchmark, columns `COLUMNS`.

    n counts the items behind a number, truncated those of them that the model did not see whole,
    left_out the items beside them.

    Args:
        items: checked, columns `steps.benchmarks.items.ITEMS`, in any order.
    """
    counts = count_items(items)
    numbers = benchmark.numbers(set(counts.index))
    estimates = estimate(benchmark.means(counted(items)), numbers, settings)
    rows = []
    for number, found in zip(numbers, estimates, strict=True):
        note = note_of(number, benchmark, counts, found.value)
        if is_refusal(note):
            found = REFUSED
        used = counts[COUNTS].reindex(number.subsets, fill_value=0).sum()
        bounds = (found.value, found.ci_low, found.ci_high)
        rows.append((number.name, *bounds, used["n"], used["left_out"], used["truncated"], note))
    return pd.DataFrame(rows, columns=COLUMNS)


def count_items(items: pd.DataFrame) -> pd.DataFrame:
    """Return `COUNTS` of each subset, and in ``first`` the first left out (by its id), and why."""
    out = items["left_out"].notna()
    counts = items.assign(n=~out, left_out=out).groupby("subset")[COUNTS].sum()
    first = {}
    for row in items[out].sort_values("id", ascending=False).itertuples():
        # Without the remedy; and a semicolon separates marks.
        first[row.subset] = f"'{row.id}', {row.left_out.partition(';')[0]}"
    return counts.assign(first=[first.get(subset) for subset in counts.index])


def note_of(number: Number, benchmark: Benchmark, counts: pd.DataFrame, value: float) -> str:
    """Return what must be known of a number: why it is refused, or what marks it.

    Args:
        counts: of `count_items`.
        value: of the number, NaN where a mean has no item.
    """
    rows = counts.reindex(list(number.subsets))
    missing = [f"'{s}'{_left_out(row)}" for s, row in rows.iterrows() if not row["n"] > 0]
    if missing:
        return f"refused: no item of {', '.join(missing)}"
    # Only the means over questions of Ties can be without a prompt when there are items.
    if np.isnan(value):
        return "refused: no question of Ties has the prompts that the rule needs"
    marks = []
    for subset, row in rows.iterrows():
        there, published = row["n"] + row["left_out"], benchmark.subsets[subset].rows
        if there != published:
            marks.append(f"'{subset}' has {there} items instead of {published}")
        if row["left_out"]:
            marks.append(f"{row['n']} of {there} items of '{subset}' count{_left_out(row)}")
    if rows["truncated"].any():
        marks.append(f"{rows['truncated'].sum()} truncated")
    return MARKED + "; ".join(marks) if marks else ""


def _left_out(row: pd.Series) -> str:
    """Return how many items of a subset are left out, and why the first of them is.

    Args:
        row: of `count_items`, NaN if there is no item.
    """
    if not row["left_out"] > 0:
        return ""
    return f" ({row['left_out']:.0f} left out, the first: {row['first']})"


def sentences(table: pd.DataFrame) -> list[str]:
    """Return a line for each number of `score_table`; none for a subset that is not there."""
    lines = []
    for row in table.itertuples():
        if is_refusal(row.note):
            # What is made of the subset says that it lacks it.
            if row.note != f"refused: no item of '{row.number}'":
                lines.append(f"{row.number}: {row.note}")
            continue
        bounds = "no interval" if np.isnan(row.ci_low) else f"{row.ci_low:.3f}, {row.ci_high:.3f}"
        of = f" of {row.n + row.left_out}" if row.left_out else ""
        marks = f"; {row.note}" if row.note else ""
        lines.append(f"{row.number}: {row.value:.3f} [{bounds}], n = {row.n}{of}{marks}")
    return lines


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
