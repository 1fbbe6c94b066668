"""Preference pairs as tokens."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from steps.cache.key import text_key
from steps.chat import ChatFormat, ControlTokenError
from steps.errors import UserError


@dataclass(frozen=True)
class Sequence:
    """A prompt and one response as tokens.

    Attributes:
        key: hash of both texts and of the chat format, `text_key`.
        prompt: ends with the assistant's header; one BOS at most.
        response: ends with the end-of-turn token; of a sample, as it was drawn.
    """

    key: str
    prompt: list[int]
    response: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)


def encode(chat: ChatFormat, prompt: str, response: str) -> Sequence:
    """Return the tokens of one response behind its prompt."""
    ids = chat.encode_response(prompt, response).ids
    return Sequence(text_key(chat.fingerprint(), prompt, response), chat.encode_prompt(prompt), ids)


def encode_pairs(
    path: Path, pairs: pd.DataFrame, chat: ChatFormat, max_tokens: int
) -> tuple[list[tuple[Sequence, Sequence]], Counter]:
    """Return (chosen, rejected) of each pair that can be trained on, and what was left out and why.

    A response that is cut has lost its end, so longer pairs are dropped, not cut.

    Args:
        path: where the pairs are from, for the error.
        pairs: columns of `POLICY_PAIRS`.
        max_tokens: most tokens of prompt and response together.

    Raises:
        UserError: no pair is left.
    """
    kept, left_out = [], Counter()
    for pair in pairs.itertuples(index=False):
        try:
            chosen = encode(chat, pair.prompt, pair.chosen)
            rejected = encode(chat, pair.prompt, pair.rejected)
        except ControlTokenError:
            left_out["pairs that spell a control token"] += 1
            continue
        if max(len(chosen), len(rejected)) > max_tokens:
            left_out[f"pairs over {max_tokens} tokens"] += 1
        else:
            kept.append((chosen, rejected))
    if not kept:
        reasons = "; ".join(f"{count:,} {what}" for what, count in left_out.items())
        raise UserError(
            f"{path}: no pair is left to train on ({reasons or 'the file is empty'}); sample "
            "shorter responses or raise policy.dpo.max_tokens"
        )
    return kept, left_out
