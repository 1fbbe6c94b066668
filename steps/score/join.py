"""The output of a scoring run from its parts, read one after the other."""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from steps.errors import UserError
from steps.files import atomic_path, remove
from steps.groups.schema import read_table
from steps.score.part_file import is_as_written, read_facts
from steps.score.schema import with_left_out

BYTES_PER_ROW_GROUP = 1 << 24  # in memory: with the rewards of their tokens, rows are large


@dataclass(frozen=True)
class Written:
    """What came of scoring a file.

    Attributes:
        files: the output, and the list of skipped rows if there are any.
        tokens: of all scored responses, as `n_tokens` counts them.
        skipped: rows without scores.
    """

    files: list[Path]
    tokens: int
    skipped: int


def join_parts(folder: Path, schema: pa.Schema, output: Path) -> Written:
    """Write the output from the parts, and the list of skipped rows where there are any.

    Where no row has a score, that list alone is written.

    Args:
        folder: holds the parts, whose names are in the order of their rows.
        schema: of the output.
    Raises:
        UserError: a part has changed since it was written, or no row has a score.
    """
    parts = sorted(folder.glob("*.parquet"))
    left_out: dict[str, str] = {}
    for part in parts:
        if not is_as_written(part):
            raise UserError(
                f"{part} has changed since it was written; start again, then its rows are scored "
                "again"
            )
        left_out |= read_facts(part)["left_out"]
    errors_file = output.with_name(output.name + ".errors.jsonl")
    with ExitStack() as stack:
        listing = stack.enter_context(atomic_path(errors_file))
        skipped, first = _write_errors(parts, listing)
        any_row = any(pq.read_metadata(part).num_rows for part in parts)
        if any_row:
            temporary = stack.enter_context(atomic_path(output))
            tokens = _write_rows(parts, with_left_out(schema, left_out), temporary)
    if not any_row:
        raise UserError(
            f"{output} is not written, for none of the {skipped} rows could be scored; "
            f"{errors_file} says why, the first one is {first}"
        )
    if not skipped:
        remove(errors_file)
    return Written([output, errors_file] if skipped else [output], tokens, skipped)


def _write_errors(parts: list[Path], listing: Path) -> tuple[int, str]:
    """Write a line for each skipped row; return how many there are, and what the first says."""
    count, first = 0, ""
    with listing.open("w", encoding="utf-8") as lines:
        for part in parts:
            for error in read_facts(part)["errors"]:
                lines.write(json.dumps(error, ensure_ascii=False) + "\n")
                count, first = count + 1, first or error["error"]
    return count, first


def _write_rows(parts: list[Path], schema: pa.Schema, path: Path) -> int:
    """Write the rows of all parts; return how many tokens they have."""
    tokens = size = 0
    waiting: list[pa.Table] = []
    with pq.ParquetWriter(path, schema) as writer:
        for part in parts:
            table = read_table(part, schema)
            tokens += int(table["n_tokens"].to_numpy().sum())
            size += table.nbytes
            waiting.append(table)
            if size >= BYTES_PER_ROW_GROUP or part == parts[-1]:
                writer.write_table(pa.concat_tables(waiting))
                waiting, size = [], 0
    return tokens
