"""The file of a reference model's scores: one row per response.

It has no rewards of tokens and no probabilities of the generator: a model with another tokenizer
cuts other tokens.
"""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from steps.errors import UserError
from steps.files import atomic_path
from steps.groups.schema import read_table

REFERENCE_SCORES = pa.schema(
    [
        ("group_id", pa.string()),
        ("response", pa.int32()),  # index in its group
        ("reward", pa.float32()),
        ("n_tokens", pa.int32()),  # of the response, in the model's own tokens
        ("truncated", pa.bool_()),  # its end was cut off
    ]
)


def reference_path(results: Path, model: str, name: str) -> Path:
    """Where the scores of a reference model lie for the set ``name``."""
    return results / "scores" / model / f"{name}.parquet"


def write_reference_scores(path: Path, scores: pd.DataFrame) -> None:
    """Write scores, atomically."""
    table = pa.Table.from_pandas(scores, schema=REFERENCE_SCORES, preserve_index=False)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_reference_scores(path: Path) -> pd.DataFrame:
    """Read scores and check them: one row per response, finite rewards."""
    scores = read_table(path, REFERENCE_SCORES).to_pandas()
    twice = scores.duplicated(["group_id", "response"])
    if twice.any():
        raise UserError(f"{path}: row {twice.idxmax()}: this response is scored twice")
    bad = ~scores["reward"].abs().lt(float("inf"))
    if bad.any():
        raise UserError(f"{path}: row {bad.idxmax()}: the reward is not a finite number")
    return scores
