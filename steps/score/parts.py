"""Scoring a file in parts, so that a run that was killed continues after its last whole part.

The parts lie in a hidden folder beside the output, bound to everything that their bytes depend on.
Each is scored by itself, so the output has the same bytes however often the run was interrupted.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from steps.errors import UserError
from steps.files import atomic_path, read_json, refuse_foreign_files, remove, write_json
from steps.groups.files import iterate_file
from steps.groups.schema import PromptGroup, read_table
from steps.lock import only_writer
from steps.progress import Progress
from steps.score.reward_model import RewardModel
from steps.score.schema import rewards_schema
from steps.score.stream import ScoredGroup, score_stream

ROWS_PER_PART = 256  # of the input; about what a kill costs
ROWS_PER_ROW_GROUP = 10_000  # of the output
_ERRORS = b"errors"  # metadata of a part
Row = tuple[int, PromptGroup | UserError]


@dataclass(frozen=True)
class Settings:
    """How a file is scored; the fields are arguments of `steps.score.stream.score_stream`."""

    max_length: int
    truncate: bool
    token_rewards: bool
    tokens_per_batch: int


def score_file(
    model: RewardModel,
    path: Path,
    rows: int,
    settings: Settings,
    skip: bool,
    plan: dict[str, Any],
    output: Path,
) -> list[Path]:
    """Score a file of ``rows`` rows into ``output``; continue where an earlier run stopped.

    Args:
        skip: leave out rows that cannot be scored and list them in ``<output>.errors.jsonl``.
        plan: all that the scores depend on; parts of another one are thrown away.
    Returns:
        The files written.
    Raises:
        UserError: a row cannot be scored and is not to be skipped, or the input is damaged.
    """
    folder = output.with_name(f".{output.name}.parts")
    schema = rewards_schema(settings.token_rewards, model.files.origin)
    with only_writer(folder):
        _open_folder(folder, plan)
        progress = Progress(f"score {path.name}", rows, "rows", _rows_done(folder, rows))
        for number, part in enumerate(_cut(iterate_file(path))):
            file = folder / f"{number:08d}.parquet"
            if not file.is_file():
                errors = _score_part(model, path, part, settings, skip, schema, file)
                progress.advance(len(part), f"({len(errors)} skipped)" if errors else "")
        outputs = _join(folder, schema, output)
        remove(folder)
    return outputs


def _cut(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rows = iter(rows)
    while part := list(islice(rows, ROWS_PER_PART)):
        yield part


def _open_folder(folder: Path, plan: dict[str, Any]) -> None:
    """Make the folder of parts; parts of another plan go."""
    if folder.is_dir():
        parts = {p.name for p in folder.glob("*.parquet*")} | {".plan.json.part"}
        refuse_foreign_files(folder, {"plan.json", *parts})
        if (folder / "plan.json").is_file() and read_json(folder / "plan.json") == plan:
            return
    remove(folder)
    write_json(folder / "plan.json", plan)


def _rows_done(folder: Path, rows: int) -> int:
    return min(rows, ROWS_PER_PART * len(list(folder.glob("*.parquet"))))


def _score_part(
    model: RewardModel,
    path: Path,
    rows: list[Row],
    settings: Settings,
    skip: bool,
    schema: pa.Schema,
    file: Path,
) -> list[dict]:
    """Score some rows and write them; return what is wrong with those that are left out."""
    numbers = {group.group_id: number for number, group in rows if isinstance(group, PromptGroup)}
    errors: list[dict] = []

    def complain(number: int, group_id: str | None, message: str) -> None:
        if not skip:
            raise UserError(message)
        errors.append({"row": number, "group_id": group_id, "error": message})

    def complain_of_group(group: PromptGroup, error: UserError) -> None:
        number = numbers[group.group_id]
        place = f"{path}: row {number} (group '{group.group_id}')"
        complain(number, group.group_id, f"{place}: {error}")

    groups = []
    for number, group in rows:
        if isinstance(group, UserError):
            complain(number, None, str(group))
        else:
            groups.append(group)
    scored = score_stream(model, groups, **vars(settings), on_error=complain_of_group)
    table = pa.Table.from_pylist([row for group in scored for row in _rows_of(group)], schema)
    errors.sort(key=lambda error: error["row"])
    with atomic_path(file) as temporary:
        metadata = {_ERRORS: json.dumps(errors)}
        pq.write_table(table.replace_schema_metadata(metadata), temporary)
    return errors


def _rows_of(group: ScoredGroup) -> Iterator[dict[str, Any]]:
    for number, reward in enumerate(group.rewards):
        row = {
            "group_id": group.group_id,
            "response": number,
            "reward": reward,
            "n_tokens": group.n_tokens[number],
            "truncated": group.truncated[number],
        }
        if group.token_rewards is not None:
            row["token_rewards"] = group.token_rewards[number]
            row["token_ends"] = group.token_ends[number]
        yield row


def _join(folder: Path, schema: pa.Schema, output: Path) -> list[Path]:
    """Write the output from the parts, and the list of skipped rows where there are any."""
    errors_file = output.with_name(output.name + ".errors.jsonl")
    skipped, waiting = 0, []
    with ExitStack() as stack:
        writer = pq.ParquetWriter(stack.enter_context(atomic_path(output)), schema)
        stack.enter_context(writer)
        listing = stack.enter_context(atomic_path(errors_file))
        lines = stack.enter_context(listing.open("w", encoding="utf-8"))
        for part in sorted(folder.glob("*.parquet")):
            waiting.append(read_table(part, schema))
            for error in json.loads(pq.read_schema(part).metadata[_ERRORS]):
                lines.write(json.dumps(error, ensure_ascii=False) + "\n")
                skipped += 1
            if sum(table.num_rows for table in waiting) >= ROWS_PER_ROW_GROUP:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
    if not skipped:
        remove(errors_file)
        return [output]
    return [output, errors_file]
