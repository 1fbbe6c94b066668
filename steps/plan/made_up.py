"""Made-up groups for the probe: random tokens, no text."""

import numpy as np
import torch
from torch import Tensor

from steps.cache.encode import EncodedGroups
from steps.cache.tokens import CachedGroup, MemoryStore
from steps.groups.schema import PromptGroup, Response
from steps.packing import GroupSpan
from steps.train.batches import TrainingGroup


def made_up_groups(tokens: int, longest: int, vocabulary: int) -> EncodedGroups:
    """Return groups of about ``tokens`` tokens: a prompt and two responses of the same length.

    Args:
        longest: tokens of a prompt and one of its responses.
    """
    part = max(min(longest // 2, tokens // 3), 2)
    count = max(tokens // (3 * part), 1)
    both = (Response("probe"), Response("probe"))
    groups = [PromptGroup(f"probe {k}", "probe", "", "probe", both) for k in range(count)]
    ids = np.random.default_rng(0).integers(vocabulary, size=3 * part * count, dtype=np.int32)
    return EncodedGroups(groups, ids, np.zeros_like(ids), np.full(3 * count, part))


class MadeUpStore(MemoryStore):
    """Made-up groups with probabilities of a half and hidden states of noise."""

    def __init__(self, encoded: EncodedGroups, width: int):
        """Store ``encoded`` with hidden states of ``width``."""
        super().__init__(encoded)
        self.log_probs = np.full(len(self.tokens), np.log(0.5), np.float32)
        self.states = torch.randn(1, len(self.tokens), width)

    def hidden_of(self, groups: list[CachedGroup]) -> tuple[Tensor, list[GroupSpan]]:
        """Return states, [1, T, D], and the groups' spans, as a cache on disk does."""
        _, spans = self.tokens_of(groups)
        return self.states, spans

    def training_groups(self, paired: bool) -> list[TrainingGroup]:
        """Return all groups with their first response chosen and their second rejected."""
        margins = torch.ones(1) if paired else None
        first, second = torch.tensor([0]), torch.tensor([1])
        return [TrainingGroup(group, first, second, margins) for group in self.groups.values()]
