"""The pair of each prompt: the samples of the highest and of the lowest reward."""

import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd

from steps.config.policy import PairSelection
from steps.errors import UserError
from steps.groups.schema import PromptGroup, Response
from steps.policy.schema import POLICY_PAIRS


def select_pairs(
    groups: list[PromptGroup],
    rewards: list[np.ndarray],
    settings: PairSelection,
    asked: Callable[[str], str],
) -> tuple[pd.DataFrame, Counter, int]:
    """Make one pair of each prompt where the rewards allow it.

    Args:
        rewards: of each group, [K].
        asked: turns a group's prompt into the one that the policy reads.
    Returns:
        Columns `POLICY_PAIRS`, in the order of the groups; the counts of prompts without a pair,
        by reason; and how many pairs have a response that was cut at max_new_tokens.
    Raises:
        UserError: no prompt has a pair.
    """
    rows, counts, unfinished = [], Counter(), 0
    for group, own in zip(groups, rewards, strict=True):
        pair = _pair(group, own, settings, counts)
        if pair is not None:
            chosen, rejected = pair
            texts = (group.responses[k].text for k in pair)
            unfinished += any(_is_cut(group.responses[k]) for k in pair)
            rows.append((group.group_id, asked(group.prompt), *texts, own[chosen], own[rejected]))
    if not rows:
        raise UserError(f"no prompt gives a pair: {_reasons(rewards, counts)}")
    return pd.DataFrame(rows, columns=POLICY_PAIRS.names), counts, unfinished


def _pair(
    group: PromptGroup, rewards: np.ndarray, settings: PairSelection, counts: Counter
) -> tuple[int, int] | None:
    """Return the numbers of the chosen and the rejected response, or None and count why."""
    usable = [
        k
        for k, response in enumerate(group.responses)
        if not (settings.drop_unfinished and _is_cut(response))
    ]
    if len(usable) < 2:
        what = "finished samples" if settings.drop_unfinished else "samples"
        counts[f"prompts with fewer than two {what}"] += 1
        return None
    own = rewards[usable]
    gap = own.max() - own.min()
    if gap == 0:
        counts["prompts whose rewards are all equal"] += 1
        return None
    if gap < settings.minimum_gap:
        counts["prompts whose rewards differ by less than minimum_gap"] += 1
        return None
    draw = random.Random(f"{settings.seed}/{group.group_id}")
    chosen, rejected = (
        usable[draw.choice(np.flatnonzero(own == end).tolist())] for end in (own.max(), own.min())
    )
    # A batch's rounding may give two copies of a text rewards that differ in the last bit.
    if settings.drop_equal_texts and _text(group, chosen) == _text(group, rejected):
        counts["prompts whose two samples are the same text"] += 1
        return None
    return chosen, rejected


def _is_cut(response: Response) -> bool:
    return response.finish_reason == "length"


def _text(group: PromptGroup, response: int) -> str:
    return group.responses[response].text.strip()


def _reasons(rewards: list[np.ndarray], counts: Counter) -> str:
    compared = [own for own in rewards if len(own) > 1]
    if compared and all(np.ptp(own) == 0 for own in compared):
        return (
            "the reward model gives all samples of a prompt the same reward; look at its training, "
            "or sample at a higher temperature"
        )
    listed = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
    return f"{listed}; draw more or longer samples, or loosen policy.pairs"
