"""The file of preference pairs: two responses of one prompt group."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from steps.errors import UserError
from steps.files import atomic_path
from steps.groups.schema import PromptGroup, read_table

PAIRS = pa.schema(
    [
        ("group_id", pa.string()),
        ("chosen", pa.int32()),  # index of the better response in its group
        ("rejected", pa.int32()),
        ("same_model", pa.bool_()),  # one author wrote both (false where not known)
        ("margin", pa.float32()),  # difference of the ratings; null = none
    ]
)


def write_pairs(path: Path, pairs: pd.DataFrame) -> None:
    """Write pairs, atomically."""
    table = pa.Table.from_pandas(pairs, schema=PAIRS, preserve_index=False)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_pairs(path: Path, groups: list[PromptGroup]) -> pd.DataFrame:
    """Read pairs and check that each names two different responses of a group in ``groups``."""
    pairs = read_table(path, PAIRS).to_pandas()
    sizes = {group.group_id: len(group.responses) for group in groups}
    for row, pair in enumerate(pairs.itertuples(index=False)):
        size = sizes.get(pair.group_id)
        if size is None:
            raise UserError(
                f"{path}: row {row}: no group '{pair.group_id}' among the groups; "
                "make the pairs again from this groups file"
            )
        if pair.chosen == pair.rejected or not min(pair.chosen, pair.rejected) >= 0:
            raise UserError(f"{path}: row {row}: chosen and rejected must be two responses")
        if max(pair.chosen, pair.rejected) >= size:
            raise UserError(f"{path}: row {row}: group '{pair.group_id}' has only {size} responses")
    return pairs
