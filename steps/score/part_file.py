"""One finished part of a scoring run: a parquet file of scores, with its hash beside it."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from steps.files import atomic_path, sha256, write_text

_FACTS = b"facts"


def write_part(file: Path, scores: pa.Table, facts: dict[str, Any]) -> None:
    """Write a part, atomically.

    Args:
        facts: kept in its metadata: `rows`, how many rows of the input it is; `errors`, what is
            wrong with some; `left_out`, why those that could be read have no score, by group_id.
    """
    with atomic_path(file) as temporary:
        pq.write_table(scores.replace_schema_metadata({_FACTS: json.dumps(facts)}), temporary)
        write_text(_hash_file(file), sha256(temporary))  # a part that is there has its hash


def read_facts(file: Path) -> dict[str, Any]:
    """Read the facts of a part, see `write_part`."""
    return json.loads(pq.read_schema(file).metadata[_FACTS])


def is_as_written(file: Path) -> bool:
    """Whether a part has the bytes that were written."""
    hash_file = _hash_file(file)
    return hash_file.is_file() and hash_file.read_bytes() == sha256(file).encode()


def _hash_file(file: Path) -> Path:
    return file.with_suffix(".parquet.sha256")
