"""From the rows of a benchmark to prompt groups.

The rows that the download step fetched must be as many as are published. A file of one's own may
hold some subsets only, or some of their rows: the scores then say what is missing. More rows than
published stop the step, as does a row of another shape; one with an empty text is left out and
listed.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from steps.benchmarks.benchmark import Benchmark
from steps.benchmarks.left_out import LeftOut, split_empty
from steps.errors import UserError, nearest
from steps.groups.files import read_rows
from steps.groups.raw import RawTable
from steps.groups.schema import PromptGroup, check_groups

CHANGED = "correct the row, or fetch another `--revision` if the data set has changed"
COMMAND = "python -m steps.download benchmark"


def text(row: dict, key: str, place: str) -> str:
    """Return the text at ``key``, or raise a `UserError` naming ``place``."""
    if not isinstance(row[key], str):
        raise UserError(f"{place}: '{key}' is not a text; {CHANGED}")
    return row[key]


def texts(row: dict, key: str, place: str, count: int | None = None) -> list[str]:
    """Return the list of texts at ``key``, of ``count`` if given, or raise a `UserError`."""
    value = row[key]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UserError(f"{place}: '{key}' is not a list of texts; {CHANGED}")
    if count is not None and len(value) != count:
        raise UserError(f"{place}: '{key}' has {len(value)} texts instead of {count}; {CHANGED}")
    return value


def benchmark_groups(benchmark: Benchmark, folder: Path) -> tuple[list[PromptGroup], list[LeftOut]]:
    """Read the groups of a benchmark, and its rows with an empty text, from the download's folder.

    Raises:
        UserError: the file is missing or damaged, a row is not as it should be, or a subset has
            another number of rows than the publisher's.
    """
    path = folder / f"{benchmark.split}.parquet"
    table = RawTable(path, benchmark.columns, COMMAND)
    rows = table.take(np.arange(table.rows))
    groups = [benchmark.group(row, f"{path}: row {number}") for number, row in rows]
    _check_counts(benchmark, groups, path)
    return _whole(groups, path)


def local_groups(benchmark: Benchmark, path: Path) -> tuple[list[PromptGroup], list[LeftOut]]:
    """Read a file in the benchmark's layout, JSONL (also .gz) or parquet, as `benchmark_groups`.

    Raises:
        UserError: the file is missing or damaged, a row is not as it should be, or a subset has
            more rows than the publisher's.
    """
    groups = []
    for number, row in read_rows(path):
        place = f"{path}: row {number}"
        if not isinstance(row, dict):
            raise UserError(f"{place} must have keys and values; correct the line")
        for column in benchmark.columns:
            if column not in row and column not in benchmark.optional:
                raise UserError(f"{place}: the key '{column}' is missing; add it")
        groups.append(benchmark.group(dict.fromkeys(benchmark.optional) | row, place))
    _check_subsets(benchmark, list(benchmark.subsets), groups, path)
    published = {name: subset.rows for name, subset in benchmark.subsets.items()}
    refuse_more_rows(Counter(group.category for group in groups), published, str(path))
    return _whole(groups, path)


def refuse_more_rows(found: Mapping[str, int], published: Mapping[str, int], where: str) -> None:
    """Raise a `UserError` naming ``where`` if a subset has more rows than are published."""
    for name, rows in found.items():
        if rows > published[name]:
            raise UserError(
                f"{where}: the subset '{name}' has {rows} rows, but only {published[name]} are "
                "published; remove those that are repeated or of another subset"
            )


def _whole(groups: list[PromptGroup], path: Path) -> tuple[list[PromptGroup], list[LeftOut]]:
    whole, left_out = split_empty(groups)
    check_groups(whole, str(path))
    return whole, left_out


def _check_subsets(
    benchmark: Benchmark, known: list[str], groups: list[PromptGroup], path: Path
) -> None:
    for group in groups:
        if group.category not in known:
            hint = nearest(group.category, known)
            raise UserError(
                f"{path}: '{group.category}' is no subset of {benchmark.title} ({hint}); {CHANGED}"
            )


def _check_counts(benchmark: Benchmark, groups: list[PromptGroup], path: Path) -> None:
    core = {name: subset.rows for name, subset in benchmark.subsets.items() if subset.core}
    _check_subsets(benchmark, list(core), groups, path)
    found = Counter(group.category for group in groups)
    for name, rows in core.items():
        if found[name] != rows:
            raise UserError(
                f"{path}: the subset '{name}' has {found[name]} rows instead of {rows}; {CHANGED}"
            )
