"""The file of samples: prompt groups, and beside them the tokens that the model wrote.

A text does not tell them: tokenised again it may be cut otherwise, and its end is lost. Whoever
reads the file as groups does not see the column.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from steps.errors import UserError
from steps.files import atomic_path
from steps.groups.schema import PromptGroup, check_groups, read_table, write_groups
from steps.sample.backend import Completion

WRITTEN = pa.schema(
    [
        ("group_id", pa.string()),
        # For each response the ids, with the control token that ended it, if one did.
        ("written", pa.list_(pa.list_(pa.int32()))),
    ]
)

Tokens = list[list[list[int]]]  # of each response of each group


def written_tokens(
    groups: list[PromptGroup], completions: list[Completion], made: list[PromptGroup]
) -> Tokens:
    """Return the tokens of the responses that `sampled_groups` ``made`` of the completions."""
    per_group = len(completions) // len(groups)
    first = {group.group_id: place * per_group for place, group in enumerate(groups)}
    return [
        [completions[first[group.group_id] + r.sample].ids for r in group.responses]
        for group in made
    ]


def write_samples(path: Path, groups: list[PromptGroup], tokens: Tokens) -> None:
    """Check and write sampled groups with their tokens, atomically."""
    check_groups(groups, str(path))
    with atomic_path(path) as temporary:
        write_groups(temporary, groups)
        column = pa.array(tokens, WRITTEN.field("written").type)
        table = pq.read_table(temporary).append_column("written", column)
        pq.write_table(table, temporary, compression="zstd")


def read_written(path: Path, groups: list[PromptGroup]) -> Tokens:
    """Return the tokens of the responses of ``groups``, which were read from ``path``.

    Raises:
        UserError: the file has no tokens, or others than its responses.
    """
    tokens = read_table(path, WRITTEN)["written"].to_pylist()
    for group, own in zip(groups, tokens, strict=True):
        if [len(ids) for ids in own] != [response.n_tokens for response in group.responses]:
            raise UserError(
                f"{path}: group '{group.group_id}': the tokens are not those of its responses; "
                "sample again"
            )
    return tokens
