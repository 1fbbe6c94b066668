"""The files of scores: one row per response, and which model they come from.

`SCORES` are those of the workflow's cached sets, with the generator's probabilities;
`rewards_schema` is what the scoring of any file with any model gives.
"""

import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from steps.errors import UserError
from steps.files import atomic_path
from steps.groups.schema import read_table

SCORES = pa.schema(
    [
        ("group_id", pa.string()),
        ("response", pa.int32()),  # index in its group
        ("reward", pa.float32()),  # at the end-of-turn token
        ("n_tokens", pa.int32()),  # of the response, the end-of-turn token included
        ("token_rewards", pa.list_(pa.float32())),  # [n_tokens]
        ("token_log_probs", pa.list_(pa.float32())),  # [n_tokens], of the generator
        # [n_tokens], characters of the response text that end with each token.
        ("token_ends", pa.list_(pa.int32())),
    ]
)


REWARDS = pa.schema(
    [
        ("group_id", pa.string()),
        ("response", pa.int32()),  # index in its group
        ("reward", pa.float32()),  # where the model's own class reads it
        ("n_tokens", pa.int32()),  # of the response, with what the template puts after it
        ("truncated", pa.bool_()),  # its end was cut off
    ]
)
TOKEN_COLUMNS = ("token_rewards", "token_ends")  # as in `SCORES`
_ORIGIN, _LEFT_OUT = b"origin", b"left_out"


@dataclass(frozen=True)
class Origin:
    """The model that scores come from, kept in the file's metadata.

    Attributes:
        model: its name.
        sha256: of its files; of an ensemble, of its members' hashes.
        method, seed: of a model of this pipeline.
    """

    model: str
    sha256: str
    method: str | None = None
    seed: int | None = None


def rewards_schema(token_rewards: bool, origin: Origin) -> pa.Schema:
    """Return the columns of a file of rewards, with its metadata."""
    fields = [*REWARDS, *(SCORES.field(name) for name in TOKEN_COLUMNS if token_rewards)]
    return _with_origin(pa.schema(fields), origin)


def _with_origin(schema: pa.Schema, origin: Origin) -> pa.Schema:
    return schema.with_metadata({_ORIGIN: json.dumps(asdict(origin), sort_keys=True)})


def with_left_out(schema: pa.Schema, left_out: dict[str, str]) -> pa.Schema:
    """Return a schema whose metadata also say why groups have no scores, by group_id."""
    note = json.dumps(left_out, sort_keys=True, ensure_ascii=False)
    return schema.with_metadata(schema.metadata | {_LEFT_OUT: note})


def write_scores(path: Path, scores: pd.DataFrame, origin: Origin) -> None:
    """Write scores, atomically."""
    table = pa.Table.from_pandas(scores, schema=SCORES, preserve_index=False)
    with atomic_path(path) as temporary:
        pq.write_table(table.cast(_with_origin(SCORES, origin)), temporary, compression="zstd")


def write_score_sets(folder: Path, sets: dict[str, pd.DataFrame], origin: Origin) -> list[Path]:
    """Write the scores of each set into ``<folder>/<set>.parquet``, all of them or none.

    Returns:
        The files.
    """
    paths = [folder / f"{name}.parquet" for name in sets]
    with ExitStack() as stack:
        for path, scores in zip(paths, sets.values(), strict=True):
            write_scores(stack.enter_context(atomic_path(path)), scores, origin)
    return paths


def read_origin(path: Path) -> Origin:
    """Read which model the scores of a file come from.

    Raises:
        UserError: the file is damaged or does not tell.
    """
    try:
        metadata = pq.read_schema(path).metadata or {}
        return Origin(**json.loads(metadata[_ORIGIN]))
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError):
        raise UserError(
            f"{path} does not tell which model its scores come from; run the score step again"
        ) from None


def read_left_out(path: Path) -> dict[str, str]:
    """Return why groups were left out of a file of rewards (``--on-error skip``), by group_id.

    Args:
        path: a whole file.
    """
    return json.loads((pq.read_schema(path).metadata or {}).get(_LEFT_OUT, "{}"))


def read_scores(path: Path, finite: bool = True) -> pd.DataFrame:
    """Read scores and check them: one row per response, one value per token.

    Args:
        finite: whether a reward that is not a finite number is an error.
    """
    scores = _read_rewards(path, SCORES, finite)
    for column in ("token_rewards", "token_log_probs", "token_ends"):
        wrong = scores[column].str.len() != scores["n_tokens"]
        if wrong.any():
            raise UserError(
                f"{path}: row {wrong.idxmax()}: {column} has another length than n_tokens"
            )
    return scores


def read_rewards(path: Path) -> pd.DataFrame:
    """Read rewards, columns `REWARDS`: one row per response, finite rewards."""
    return _read_rewards(path, REWARDS, finite=True)


def _read_rewards(path: Path, schema: pa.Schema, finite: bool) -> pd.DataFrame:
    scores = read_table(path, schema).to_pandas()
    twice = scores.duplicated(["group_id", "response"])
    if twice.any():
        raise UserError(f"{path}: row {twice.idxmax()}: this response is scored twice")
    bad = ~scores["reward"].abs().lt(float("inf"))
    if finite and bad.any():
        raise UserError(f"{path}: row {bad.idxmax()}: the reward is not a finite number")
    return scores
