"""Rows of a benchmark that are left out, and why.

Those that no model can be asked about are not among the groups; the metadata of the groups' file
lists them, so that the per-item results and the numbers can say so.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.parquet as pq

from steps.errors import UserError
from steps.files import atomic_path
from steps.groups.schema import PromptGroup, write_groups

_KEY = b"left_out"


@dataclass(frozen=True)
class LeftOut:
    """A row without results.

    Attributes:
        id: the group_id that it has or would have.
        reason: why, for people.
    """

    id: str
    subset: str
    reason: str


def split_empty(groups: Iterable[PromptGroup]) -> tuple[list[PromptGroup], list[LeftOut]]:
    """Return the groups whose texts are all there, and the rows with an empty one."""
    whole, left_out = [], []
    for group in groups:
        texts = {"the prompt": group.prompt}
        texts |= {f"response {k}": response.text for k, response in enumerate(group.responses)}
        empty = [name for name, text in texts.items() if not text.strip()]
        if empty:
            left_out.append(LeftOut(group.group_id, group.category, f"{empty[0]} is empty"))
        else:
            whole.append(group)
    return whole, left_out


def write_whole_groups(path: Path, groups: list[PromptGroup], left_out: list[LeftOut]) -> None:
    """Check and write the groups, with the rows that are left out in the metadata, atomically.

    Raises:
        UserError: there is no group, or one breaks a rule.
    """
    if not groups:
        raise UserError(
            f"{path} is not written, for every row is left out; the first one, "
            f"'{left_out[0].id}', because {left_out[0].reason}"
        )
    with atomic_path(path) as temporary:
        write_groups(temporary, groups)
        note = json.dumps([asdict(row) for row in left_out], ensure_ascii=False)
        table = pq.read_table(temporary).replace_schema_metadata({_KEY: note})
        pq.write_table(table, temporary, compression="zstd")


def read_left_out_rows(path: Path) -> list[LeftOut]:
    """Return the rows that were left out of a whole file of groups."""
    rows = json.loads((pq.read_schema(path).metadata or {}).get(_KEY, "[]"))
    return [LeftOut(**row) for row in rows]
