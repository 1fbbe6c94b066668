"""The file of policy pairs: the texts that DPO trains on, one pair per prompt."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from steps.errors import UserError
from steps.files import atomic_path
from steps.groups.schema import read_table

POLICY_PAIRS = pa.schema(
    [
        ("prompt_id", pa.string()),  # the group_id of the samples
        ("prompt", pa.string()),  # as the policy reads it, an instruction included
        ("chosen", pa.string()),  # without control tokens, as sampled
        ("rejected", pa.string()),
        ("chosen_reward", pa.float64()),
        ("rejected_reward", pa.float64()),
    ]
)


def write_policy_pairs(path: Path, pairs: pd.DataFrame) -> None:
    """Check and write pairs, atomically."""
    _check(pairs, path)
    table = pa.Table.from_pandas(pairs, schema=POLICY_PAIRS, preserve_index=False)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_policy_pairs(path: Path) -> pd.DataFrame:
    """Read and check pairs, columns `POLICY_PAIRS`.

    Raises:
        UserError: the file is missing or damaged, lacks a column, or a row breaks a rule.
    """
    pairs = read_table(path, POLICY_PAIRS).to_pandas()
    _check(pairs, path)
    return pairs


def _check(pairs: pd.DataFrame, path: Path) -> None:
    again = "select the pairs again"
    if pairs.empty:
        raise UserError(f"{path} has no pair; {again}, from more samples or with a smaller gap")
    for column in ("prompt_id", "prompt", "chosen", "rejected"):
        empty = ~pairs[column].fillna("").str.strip().astype(bool)
        if empty.any():
            raise UserError(f"{path}: row {empty.idxmax()}: '{column}' is empty; {again}")
    twice = pairs.duplicated("prompt_id")
    if twice.any():
        raise UserError(f"{path}: row {twice.idxmax()}: the prompt_id occurs twice; {again}")
    ordered = pairs["chosen_reward"] > pairs["rejected_reward"]  # NaN is not
    if not ordered.all():
        raise UserError(
            f"{path}: row {(~ordered).idxmax()}: chosen_reward does not exceed rejected_reward; "
            f"{again}"
        )
