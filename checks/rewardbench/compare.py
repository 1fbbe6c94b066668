"""The comparison: each response's two rewards, and a name for each difference."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from steps.chat import ControlTokenError
from steps.errors import UserError
from steps.groups.schema import PromptGroup
from steps.score.conversation import RenderedFormat
from steps.score.reward_model import RewardModel
from steps.score.stream import score_stream

TOLERANCE = 1e-4
SAME = "same"
OTHER_TOKENS = "other tokens at the border of prompt and response"
REFUSED = "refused by us: the text spells a control token"
UNEXPLAINED = "unexplained"
SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class OurRewards:
    """Our rewards of a pair file.

    Attributes:
        as_trained: group id -> [2] rewards, chosen first, of the tokens that training makes.
        as_rendered: the same of the conversation rendered and tokenised as one text, which is what
            the publisher's program reads; only groups whose tokens differ.
        refused: ids of groups with a control token in a text, which we do not score.
    """

    as_trained: dict[str, np.ndarray]
    as_rendered: dict[str, np.ndarray]
    refused: set[str]


def our_rewards(model: RewardModel, groups: list[PromptGroup]) -> OurRewards:
    """Score with the public scoring tool."""
    refused: set[str] = set()

    def refuse(group: PromptGroup, error: UserError) -> None:
        if not isinstance(error, ControlTokenError):
            raise error
        refused.add(group.group_id)

    as_trained = {g.group_id: g.rewards for g in score_stream(model, groups, on_error=refuse)}
    rendered = replace(model, format=RenderedFormat(model.format.chat.tokenizer))
    scored = [group for group in groups if group.group_id not in refused]
    differing = [g for g in scored if _tokens(model, g) != _tokens(rendered, g)]
    as_rendered = {g.group_id: g.rewards for g in score_stream(rendered, differing)}
    return OurRewards(as_trained, as_rendered, refused)


def _tokens(model: RewardModel, group: PromptGroup) -> list[list[int]]:
    return [each.prompt + each.response.ids for each in model.encode(group)]


def compare(ours: OurRewards, theirs: pd.DataFrame) -> pd.DataFrame:
    """Return a row per response: id, side, ours, theirs, difference, reason.

    A difference is explained by other tokens only if our reward of the publisher's tokens is the
    publisher's.

    Args:
        theirs: columns id, chosen, rejected (rewards).
    """
    rows = []
    for pair in theirs.itertuples():
        for place, side in enumerate(SIDES):
            reward = getattr(pair, side)
            own = ours.as_trained.get(pair.id, (np.nan, np.nan))[place]
            rendered = ours.as_rendered.get(pair.id, (np.nan, np.nan))[place]
            if pair.id in ours.refused:
                reason = REFUSED
            elif abs(own - reward) <= TOLERANCE:
                reason = SAME
            elif abs(rendered - reward) <= TOLERANCE:
                reason = OTHER_TOKENS
            else:
                reason = UNEXPLAINED
            rows.append((pair.id, side, own, reward, own - reward, reason))
    columns = ["id", "side", "ours", "theirs", "difference", "reason"]
    return pd.DataFrame(rows, columns=columns)


def summary(table: pd.DataFrame) -> str:
    """Return the figures in words: how many rewards agree, how far, and why others do not."""
    same = table[table["reason"] == SAME]
    wins = table.pivot(index="id", columns="side", values=["ours", "theirs"]).dropna()
    accuracy = {
        who: (wins[who]["chosen"] > wins[who]["rejected"]).mean() for who in ("ours", "theirs")
    }
    lines = [
        f"{len(table) // 2} pairs, {len(table)} rewards; largest difference where the tokens are "
        f"the same: {same['difference'].abs().max():.1e} (allowed: {TOLERANCE:g})",
        f"pair accuracy on the {len(wins)} pairs that both score: ours {accuracy['ours']:.4f}, "
        f"theirs {accuracy['theirs']:.4f}",
    ]
    for reason, part in table.groupby("reason"):
        farthest = part["difference"].abs().max()
        lines.append(f"  {len(part):5} {reason} (up to {farthest:.1e})")
    return "\n".join(lines)
