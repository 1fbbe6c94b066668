"""Reading the final rewards of a groups file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from steps.errors import UserError
from steps.evaluate.load import align_scores
from steps.groups.schema import PromptGroup, read_table
from steps.score.schema import REWARDS

# What scores of cached sets and of any other file have in common.
COLUMNS = pa.schema([REWARDS.field(n) for n in ("group_id", "response", "reward", "n_tokens")])


@dataclass(frozen=True)
class GroupRewards:
    """The scores of one group's K responses, float64: rewards [K] and n_tokens [K]."""

    rewards: np.ndarray
    n_tokens: np.ndarray


def read_rewards(path: Path, groups: list[PromptGroup]) -> list[GroupRewards]:
    """Return the scores of each group, in order.

    Raises:
        UserError: the file is missing or damaged, a response of the groups has no finite reward or
            two, or the file scores one that is not among them.
    """
    table = read_table(path, COLUMNS).to_pandas()
    twice = table.duplicated(["group_id", "response"])
    if twice.any():
        raise UserError(f"{path}: row {twice.idxmax()}: this response is scored twice")
    bad = ~table["reward"].abs().lt(float("inf"))
    if bad.any():
        raise UserError(
            f"{path}: row {bad.idxmax()}: the reward is not a finite number; score the groups again"
        )
    aligned = align_scores(table, groups, path)
    ends = np.cumsum([len(group.responses) for group in groups])[:-1]
    columns = (aligned[name].to_numpy(np.float64) for name in ("reward", "n_tokens"))
    parts = (np.split(column, ends) for column in columns)
    return [GroupRewards(*each) for each in zip(*parts, strict=True)]
