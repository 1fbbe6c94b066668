"""Preference pairs of prompt groups: every better response against every worse one."""

from collections import Counter
from itertools import combinations

import pandas as pd

from steps.groups.order import compare, no_common_label
from steps.groups.schema import PromptGroup
from steps.pairs.schema import PAIRS


def make_pairs(groups: list[PromptGroup]) -> tuple[pd.DataFrame, Counter]:
    """Make all pairs of each group, in the order of the groups and of the responses.

    `steps.groups.order` says which response is better. Identical texts never form a pair.

    Args:
        groups: checked prompt groups.
    Returns:
        A frame with the columns of `PAIRS`, and the counts of what gave no pair and why.
    """
    rows, counts = [], Counter()
    for group in groups:
        made = [_pair(group, i, j, counts) for i, j in combinations(range(len(group.responses)), 2)]
        made = sorted((row for row in made if row), key=lambda row: row[1:3])
        counts["groups without a pair"] += not made
        rows += made
    return pd.DataFrame(rows, columns=PAIRS.names), counts


def _pair(group: PromptGroup, i: int, j: int, counts: Counter) -> tuple | None:
    """Return the row of responses ``i`` and ``j``, or None if neither is better."""
    a, b = group.responses[i], group.responses[j]
    if a.pair != b.pair:
        return None
    order = compare(a, b)
    if order == 0:
        if a.score is not None and a.score == b.score:
            counts["equal scores"] += 1
        elif no_common_label(a, b):
            counts["pairs of a response with only 'correct' and one with only 'score'"] += 1
        return None
    if a.text == b.text:
        counts["identical texts"] += 1
        return None
    chosen, rejected = (i, j) if order > 0 else (j, i)
    same_model = a.model is not None and a.model == b.model
    margin = None
    if a.score is not None and b.score is not None:
        margin = group.responses[chosen].score - group.responses[rejected].score
    return group.group_id, chosen, rejected, same_model, margin
