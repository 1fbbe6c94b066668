"""The one data model of the pipeline: the prompt group.

A prompt group is one prompt with K responses, each with what is known of it. A preference pair is
a group with K = 2, a best-of-N candidate set one with K = N. Groups are stored as parquet, one row
per group, and checked on write and on read.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from steps.errors import UserError
from steps.files import atomic_path, make_again
from steps.groups.parquet import parquet_errors

RESPONSE = pa.struct(
    [
        ("text", pa.string()),
        ("correct", pa.bool_()),  # the final answer is right; null = not known
        ("score", pa.float64()),  # a rating; higher is better; null = none
        ("model", pa.string()),  # who wrote it; null = not known
        ("hinted", pa.bool_()),  # its author saw a hint
        ("annotated", pa.bool_()),  # a human looked for its first wrong step
        # Character range [start, end) of that step; null where none was found or looked for.
        ("error_start", pa.int32()),
        ("error_end", pa.int32()),
        # Which of the pairs that were given for this prompt it belongs to; null: to none of them.
        ("pair", pa.int32()),
        # Of a sampled response; null = not known: `stop` (the model ended its turn) or `length`
        # (it was cut), and how many tokens it wrote, the one that ends its turn included.
        ("finish_reason", pa.string()),
        ("n_tokens", pa.int32()),
        # Its number among the samples of its prompt; those without a text are missing.
        ("sample", pa.int32()),
    ]
)
GROUPS = pa.schema(
    [
        ("group_id", pa.string()),
        ("source", pa.string()),
        ("category", pa.string()),
        ("prompt", pa.string()),
        ("answer", pa.string()),  # the gold answer; null = none
        ("responses", pa.list_(RESPONSE)),
    ]
)
# Groups that are converted at once: their dictionaries take several times the memory of the texts.
ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Response:
    """One response and what is known of it; the fields are those of `RESPONSE`."""

    text: str
    correct: bool | None = None
    score: float | None = None
    model: str | None = None
    hinted: bool = False
    annotated: bool = False
    error_start: int | None = None
    error_end: int | None = None
    pair: int | None = None
    finish_reason: str | None = None
    n_tokens: int | None = None
    sample: int | None = None


@dataclass(frozen=True, slots=True)
class PromptGroup:
    """One prompt with its responses; the fields are those of `GROUPS`."""

    group_id: str
    source: str
    category: str
    prompt: str
    responses: tuple[Response, ...] = field(default=())
    answer: str | None = None


def check_groups(groups: list[PromptGroup], where: str) -> None:
    """Raise a `UserError` naming ``where`` and the row for the first group that breaks a rule."""
    seen: set[str] = set()
    for row, group in enumerate(groups):
        place = f"{where}: row {row} (group '{group.group_id}')"
        if not group.group_id or group.group_id in seen:
            raise UserError(f"{place}: the group_id is empty or occurs twice; give each its own")
        seen.add(group.group_id)
        if not group.prompt or not group.prompt.strip():
            raise UserError(f"{place}: the prompt is empty; remove the row")
        if not group.responses:
            raise UserError(f"{place}: there is no response; remove the row")
        for index, response in enumerate(group.responses):
            _check_response(response, f"{place}, response {index}")


def _check_response(response: Response, place: str) -> None:
    if not response.text or not response.text.strip():
        raise UserError(f"{place}: the text is empty; remove the response")
    start, end = response.error_start, response.error_end
    if (start is None) != (end is None):
        raise UserError(f"{place}: error_start and error_end must both be set or both be null")
    if start is not None and not 0 <= start < end <= len(response.text):
        raise UserError(f"{place}: the error span [{start}, {end}) lies outside the text")
    if response.score is not None and response.score != response.score:
        raise UserError(f"{place}: the score is not a number; give a rating or null")


def write_groups(path: Path, groups: list[PromptGroup]) -> None:
    """Check and write groups, atomically."""
    check_groups(groups, str(path))
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, GROUPS, compression="zstd") as writer,
    ):
        for start in range(0, len(groups), ROWS_AT_ONCE):
            rows = [asdict(group) for group in groups[start : start + ROWS_AT_ONCE]]
            writer.write_table(pa.Table.from_pylist(rows, schema=GROUPS))


def read_groups(path: Path) -> list[PromptGroup]:
    """Read and check groups.

    Raises:
        UserError: the file is missing, damaged, has other columns, or a row breaks a rule.
    """
    groups = []
    for table in _read_parts(path, GROUPS):
        for row in table.to_pylist():
            given = row.pop("responses") or ()
            if None in given:
                raise UserError(f"{path}: group '{row['group_id']}' has a null response; remove it")
            responses = tuple(Response(**r) for r in given)
            groups.append(PromptGroup(responses=responses, **row))
    check_groups(groups, str(path))
    return groups


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a parquet file that must have the columns of ``schema``.

    Raises:
        UserError: naming the file and the column that is missing or of another type.
    """
    return pa.concat_tables(_read_parts(path, schema))


def _read_parts(path: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows, `ROWS_AT_ONCE` at a time, after a table without rows; see `read_table`."""
    yield schema.empty_table()
    if not Path(path).exists():
        raise UserError(f"{path} is not there; {make_again(path)}")
    with parquet_errors(path, make_again(path)), pq.ParquetFile(path) as file:
        _check_columns(path, file.schema_arrow, schema)
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=schema.names):
            table = pa.Table.from_batches([batch])
            table.validate(full=True)  # else texts that are no UTF-8 fail where they are used
            yield _cast(path, table, schema)


def _cast(path: Path, table: pa.Table, schema: pa.Schema) -> pa.Table:
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise UserError(f"{path}: a column has another type than expected: {error}") from None


def _check_columns(path: Path, found: pa.Schema, wanted: pa.Schema) -> None:
    for column in wanted:
        if column.name not in found.names:
            raise UserError(
                f"{path}: the column '{column.name}' is missing (it has: "
                f"{', '.join(found.names)}); write it again with the step that makes it"
            )
        _check_fields(path, column.name, found.field(column.name).type, column.type)


def _check_fields(path: Path, column: str, found: pa.DataType, wanted: pa.DataType) -> None:
    """Check the field names of a column of records; a cast would fill a missing one with nulls."""
    if not pa.types.is_list(wanted) or not pa.types.is_struct(wanted.value_type):
        return
    inner = found.value_type if pa.types.is_list(found) else found
    names = {f.name for f in inner} if pa.types.is_struct(inner) else set()
    for field_ in wanted.value_type:
        if field_.name not in names:
            raise UserError(
                f"{path}: the column '{column}' lacks the field '{field_.name}'; write it again "
                "with the step that makes it"
            )
