"""Scoring a file in parts, so that a run that was killed continues after its last whole part.

The parts lie in a hidden folder beside the output, bound to everything that their bytes depend on.
Each is scored by itself, so the output has the same bytes however often the run was interrupted.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from steps.errors import UserError
from steps.files import remove
from steps.groups.files import RowError, iterate_file
from steps.groups.schema import PromptGroup
from steps.lock import only_writer
from steps.progress import Progress
from steps.score.join import Written, join_parts
from steps.score.part_file import is_as_written, read_facts, write_part
from steps.score.reward_model import RewardModel
from steps.score.schema import rewards_schema
from steps.score.stream import ScoredGroup, score_stream
from steps.unfinished import open_work

RESPONSES_PER_PART = 128  # about what a kill costs
Row = tuple[int, PromptGroup | RowError]


@dataclass(frozen=True)
class Settings:
    """How a file is scored; the fields are arguments of `steps.score.stream.score_stream`."""

    max_length: int
    truncate: bool
    token_rewards: bool
    tokens_per_batch: int


@dataclass(frozen=True)
class Job:
    """What is scored, and how.

    Attributes:
        path: file of groups or pairs.
        skip: leave out rows that cannot be scored and list them in ``<output>.errors.jsonl``.
    """

    model: RewardModel
    path: Path
    settings: Settings
    skip: bool


def score_file(job: Job, rows: int, plan: dict[str, Any], output: Path) -> Written:
    """Score a file of ``rows`` rows into ``output``; continue where an earlier run stopped.

    Args:
        plan: all that the scores depend on; parts of another one are thrown away.
    Raises:
        UserError: a row cannot be scored and is not to be skipped, or the input is damaged.
    """
    folder = output.with_name(f".{output.name}.parts")
    schema = rewards_schema(job.settings.token_rewards, job.model.files.origin)
    with only_writer(folder):
        open_work(plan, folder, {path.name for path in folder.glob("*.parquet*")})
        _drop_unusable(job, folder)
        done = sum(read_facts(file)["rows"] for file in folder.glob("*.parquet"))
        progress = Progress(f"score {job.path.name}", rows, "rows", done)
        for number, part in enumerate(_cut(iterate_file(job.path))):
            file = folder / f"{number:08d}.parquet"
            if not file.is_file():
                _score_part(job, part, progress, schema, file)
        written = join_parts(folder, schema, output)
        remove(folder)
    return written


def _cut(rows: Iterable[Row]) -> Iterator[list[Row]]:
    part, size = [], 0
    for number, group in rows:
        part.append((number, group))
        size += len(group.responses) if isinstance(group, PromptGroup) else 1
        if size >= RESPONSES_PER_PART:
            yield part
            part, size = [], 0
    if part:
        yield part


def _drop_unusable(job: Job, folder: Path) -> None:
    """Remove parts that have changed, and those that left rows out where none may be."""
    for file in folder.glob("*.parquet"):
        if not is_as_written(file):
            print(f"{file} has changed since it was written; its rows are scored again")
            remove(file)
        elif not job.skip and read_facts(file)["errors"]:
            remove(file)


def _score_part(
    job: Job, rows: list[Row], progress: Progress, schema: pa.Schema, file: Path
) -> None:
    """Score some rows and write them, with what is wrong with those that are left out."""
    numbers = {group.group_id: number for number, group in rows if isinstance(group, PromptGroup)}
    errors: list[dict] = []
    left_out: dict[str, str] = {}  # by group_id

    def complain(number: int, group_id: str | None, place: str, error: UserError) -> None:
        message = place + str(error)
        if not job.skip:
            raise UserError(message)
        errors.append({"row": number, "group_id": group_id, "error": message})
        if group_id is not None:
            left_out[group_id] = str(error)
        progress.advance(1)

    def complain_of_group(group: PromptGroup, error: UserError) -> None:
        number = numbers[group.group_id]
        place = f"{job.path}: row {number} (group '{group.group_id}'): "
        complain(number, group.group_id, place, error)

    groups = []
    for number, group in rows:
        if isinstance(group, RowError):
            complain(number, group.group_id, "", group)
        else:
            groups.append(group)
    records = []
    for scored in score_stream(job.model, groups, **vars(job.settings), on_error=complain_of_group):
        records += _rows_of(scored)
        progress.advance(1)
    errors.sort(key=lambda error: error["row"])
    facts = {"rows": len(rows), "errors": errors, "left_out": left_out}
    write_part(file, pa.Table.from_pylist(records, schema), facts)


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
