"""What training reads: tokens and generator probabilities of prompt groups, from disk or memory."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from steps.cache.encode import EncodedGroups
from steps.packing import GroupSpan


@dataclass(frozen=True, slots=True)
class CachedGroup:
    """One prompt group in the flat arrays; ``span`` counts from the start of the store."""

    group_id: str
    span: GroupSpan


class TokenStore:
    """Flat arrays of groups.

    Attributes:
        groups: the groups by id, in stored order.
        tokens: [T], token ids.
        log_probs: [T], generator log-probabilities; None where no generator has read the tokens.
    """

    groups: dict[str, CachedGroup]
    tokens: np.ndarray
    log_probs: np.ndarray | None

    def tokens_of(self, groups: list[CachedGroup]) -> tuple[Tensor, list[GroupSpan]]:
        """Return the groups' tokens as one packed row, [T], and their spans in it."""
        parts, spans, at = [], [], 0
        for group in groups:
            start = group.span.prompt[0]
            parts.append(torch.from_numpy(self.tokens[start : start + group.span.tokens]).long())
            spans.append(group.span.shifted(at - start))
            at += group.span.tokens
        return torch.cat(parts), spans


class MemoryStore(TokenStore):
    """Groups that no generator has read yet."""

    def __init__(self, encoded: EncodedGroups):
        self.tokens, self.log_probs = encoded.ids, None
        self.groups = {
            group.group_id: CachedGroup(group.group_id, encoded.span(place))
            for place, group in enumerate(encoded.groups)
        }
