"""The table of per-item results, one row per prompt; every score is a function of it alone.

A row that is left out says why, and has nothing but its id and its subset.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from steps.benchmarks.benchmark import Benchmark
from steps.benchmarks.left_out import LeftOut
from steps.errors import UserError, nearest
from steps.files import atomic_path
from steps.groups.schema import PromptGroup, read_table

ITEMS = pa.schema(
    [
        ("id", pa.string()),  # the group_id
        ("subset", pa.string()),
        ("section", pa.string()),  # what the subset is averaged into
        ("n_correct", pa.int32()),  # so many responses, the first ones, are right
        ("rewards", pa.list_(pa.float64())),  # [K], of the responses in the group's order
        ("n_tokens", pa.list_(pa.int32())),  # [K], of each response, its end-of-turn token too
        ("truncated", pa.bool_()),  # the model did not see the prompt or a response whole
        ("left_out", pa.string()),  # why no number counts the row; null = it counts
    ]
)
AGAIN = "score the benchmark again"


def make_items(
    benchmark: Benchmark,
    groups: list[PromptGroup],
    rewards: list[list[float]],
    n_tokens: list[list[int]],
    truncated: list[bool],
) -> pd.DataFrame:
    """Return the items of scored groups, columns `ITEMS`.

    Args:
        rewards, n_tokens: for each group, [K].
        truncated: for each group.
    """
    subsets = [group.category for group in groups]
    return pd.DataFrame(
        {
            "id": [group.group_id for group in groups],
            "subset": subsets,
            "section": [benchmark.subsets[subset].section for subset in subsets],
            "n_correct": [sum(r.correct is True for r in group.responses) for group in groups],
            "rewards": rewards,
            "n_tokens": n_tokens,
            "truncated": truncated,
            "left_out": None,
        }
    )


def left_out_items(benchmark: Benchmark, rows: Iterable[LeftOut]) -> pd.DataFrame:
    """Return the items of rows without results, columns `ITEMS`."""
    items = [
        {
            "id": row.id,
            "subset": row.subset,
            "section": benchmark.subsets[row.subset].section,
            "n_correct": 0,
            "rewards": [],
            "n_tokens": [],
            "truncated": False,
            "left_out": row.reason,
        }
        for row in rows
    ]
    return pd.DataFrame(items, columns=ITEMS.names)


def counted(items: pd.DataFrame) -> pd.DataFrame:
    """Return the items that numbers are made of."""
    return items[items["left_out"].isna()]


def write_items(path: Path, items: pd.DataFrame, benchmark: Benchmark) -> None:
    """Check and write items, atomically."""
    table = pa.Table.from_pandas(items, schema=ITEMS, preserve_index=False)
    check_items(table, benchmark, path)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_items(path: Path, benchmark: Benchmark) -> pd.DataFrame:
    """Read and check items.

    Raises:
        UserError: the file is missing or damaged, lacks a column, or a row breaks a rule.
    """
    table = read_table(path, ITEMS)
    check_items(table, benchmark, path)
    return table.to_pandas()


def check_items(table: pa.Table, benchmark: Benchmark, path: Path) -> None:
    """Raise a `UserError` naming ``path`` and the row for the first row that breaks a rule."""
    if table.num_rows == 0:
        raise UserError(f"{path} has no row; {AGAIN}")
    seen: set[str] = set()
    for number, row in enumerate(table.to_pylist()):
        place = f"{path}: row {number} ('{row['id']}')"
        for column, value in row.items():
            if value is None and column != "left_out":
                raise UserError(f"{place}: '{column}' is empty; {AGAIN}")
        if row["id"] in seen:
            raise UserError(f"{place}: this id occurs twice; keep one of the two rows")
        seen.add(row["id"])
        _check_subset(row, benchmark, place)
        if row["left_out"] is None:
            _check_responses(row, place)
            _check_number_of_responses(row, benchmark, place)
        elif row["rewards"] or not row["left_out"]:
            raise UserError(f"{place}: a row that is left out has a reason and no reward; {AGAIN}")


def _check_responses(row: dict, place: str) -> None:
    rewards, n_tokens = row["rewards"], row["n_tokens"]
    if len(n_tokens) != len(rewards):
        raise UserError(
            f"{place} has {len(rewards)} rewards but {len(n_tokens)} token counts; {AGAIN}"
        )
    for response, reward in enumerate(rewards):
        if reward is None or not np.isfinite(reward):
            raise UserError(f"{place}: reward {response} is not a finite number; {AGAIN}")
    if None in n_tokens or min(n_tokens, default=1) < 1:
        raise UserError(f"{place}: n_tokens has a count below 1; {AGAIN}")
    if not 0 < row["n_correct"] < len(rewards):
        raise UserError(
            f"{place}: n_correct is {row['n_correct']} of {len(rewards)} responses, but there must "
            f"be a right and a wrong one; {AGAIN}"
        )


def _check_subset(row: dict, benchmark: Benchmark, place: str) -> None:
    subset = benchmark.subsets.get(row["subset"])
    if subset is None:
        hint = nearest(row["subset"], list(benchmark.subsets))
        raise UserError(
            f"{place}: '{row['subset']}' is no subset of {benchmark.title}; {hint} Or give another "
            "--benchmark"
        )
    if row["section"] != subset.section:
        raise UserError(
            f"{place}: the section is '{row['section']}', but '{row['subset']}' belongs to "
            f"'{subset.section}'; {AGAIN}"
        )


def _check_number_of_responses(row: dict, benchmark: Benchmark, place: str) -> None:
    subset = benchmark.subsets[row["subset"]]
    for what, found, wanted in (
        ("right responses", row["n_correct"], subset.correct),
        ("responses", len(row["rewards"]), subset.responses),
    ):
        if wanted is not None and found != wanted:
            raise UserError(f"{place} has {found} {what} instead of {wanted}; {AGAIN}")
