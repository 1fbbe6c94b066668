"""The scores of one run of a benchmark, and which of its groups have none."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from steps.benchmarks.benchmark import Benchmark
from steps.benchmarks.items import left_out_items, make_items
from steps.benchmarks.left_out import LeftOut
from steps.errors import UserError
from steps.evaluate.load import SCORE_AGAIN, align_scores
from steps.groups.schema import PromptGroup
from steps.score.schema import read_left_out, read_rewards

NOT_FINITE = "a response gets a reward that is not a finite number"


@dataclass(frozen=True)
class Scored:
    """Scores of a benchmark's groups.

    Attributes:
        responses: columns reward, n_tokens and truncated of every response, in the groups' order,
            without the groups that are left out.
        left_out: by group_id, why.
    """

    responses: pd.DataFrame
    left_out: dict[str, str] = field(default_factory=dict)


def read_scored(path: Path, groups: list[PromptGroup]) -> Scored:
    """Read what ``python -m steps.score`` wrote of the groups.

    Raises:
        UserError: the file is missing or damaged, or a response that was not left out has no score.
    """
    rewards = read_rewards(path)
    left_out = read_left_out(path)
    unknown = left_out.keys() - {group.group_id for group in groups}
    if unknown:
        raise UserError(f"{path}: '{min(unknown)}' is not among the groups; {SCORE_AGAIN}")
    kept = [group for group in groups if group.group_id not in left_out]
    return Scored(align_scores(rewards, kept, path), left_out)


def without_not_finite(responses: pd.DataFrame) -> Scored:
    """Leave out the groups in which a reward is not a finite number.

    Args:
        responses: of all groups, with their group_id.
    """
    groups = responses["group_id"]
    bad = groups[~np.isfinite(responses["reward"])].unique()
    return Scored(responses[~groups.isin(bad)], dict.fromkeys(bad, NOT_FINITE))


def scored_items(
    benchmark: Benchmark, groups: list[PromptGroup], scored: Scored, left_out: list[LeftOut]
) -> pd.DataFrame:
    """Return the items of one run, columns `steps.benchmarks.items.ITEMS`.

    Args:
        left_out: rows of the benchmark that are not among the groups.
    """
    kept = [group for group in groups if group.group_id not in scored.left_out]
    sizes = [len(group.responses) for group in kept]
    ends = np.cumsum(sizes, dtype=np.int64)

    def by_group(column: str, kind: type) -> list[np.ndarray]:
        values = scored.responses[column].to_numpy(kind)
        return [values[end - size : end] for size, end in zip(sizes, ends, strict=True)]

    items = make_items(
        benchmark,
        kept,
        [part.tolist() for part in by_group("reward", np.float64)],
        [part.tolist() for part in by_group("n_tokens", np.int64)],
        [bool(part.any()) for part in by_group("truncated", bool)],
    )
    subsets = {group.group_id: group.category for group in groups}
    others = [LeftOut(id_, subsets[id_], reason) for id_, reason in scored.left_out.items()]
    more = left_out_items(benchmark, [*others, *left_out])
    return pd.concat([items, more], ignore_index=True) if len(more) else items
