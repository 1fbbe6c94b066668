"""Which prompt groups an optimiser step sees, and their pairs as the loss terms want them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from steps.cache.store import Cache, CachedGroup
from steps.objectives.batch import PairBatch, PairLengths, Side


@dataclass(frozen=True)
class TrainingGroup:
    """A cached prompt group with its pairs, each response of which is computed once per step.

    Attributes:
        chosen: [B], index of the chosen response of each pair; rejected likewise.
    """

    cached: CachedGroup
    chosen: Tensor
    rejected: Tensor

    @property
    def response_lengths(self) -> Tensor:
        """[K], tokens of each response."""
        return torch.tensor([end - start for start, end in self.cached.span.responses])

    @property
    def pair_lengths(self) -> PairLengths:
        lengths = self.response_lengths
        return PairLengths(lengths[self.chosen], lengths[self.rejected])


def training_groups(cache: Cache, pairs: pd.DataFrame) -> list[TrainingGroup]:
    """Return the groups that have pairs, in the order of the cache."""
    by_group = dict(iter(pairs.groupby("group_id", sort=False)))
    groups = []
    for group_id, cached in cache.groups.items():
        rows = by_group.get(group_id)
        if rows is not None:
            chosen, rejected = (
                torch.from_numpy(rows[side].to_numpy().astype(np.int64))
                for side in ("chosen", "rejected")
            )
            groups.append(TrainingGroup(cached, chosen, rejected))
    return groups


def step_plan(groups: int, groups_per_step: int, epochs: int, seed: int) -> list[list[int]]:
    """Return, for every optimiser step, the groups that it sees: a new shuffle each epoch."""
    generator = np.random.default_rng(seed)
    steps = []
    for _ in range(epochs):
        order = generator.permutation(groups).tolist()
        steps += [order[i : i + groups_per_step] for i in range(0, groups, groups_per_step)]
    return steps


def pair_batch(
    group: TrainingGroup,
    rewards: list[Tensor],
    log_probs: list[Tensor],
    lm_log_probs: dict[int, Tensor] | None,
) -> PairBatch:
    """Arrange per-response tensors as pairs.

    Args:
        rewards: per response of the group, [L_k] rewards of its tokens.
        log_probs: per response, [L_k] generator log-probabilities.
        lm_log_probs: per chosen response, [L_k], or None.
    """
    lengths = group.response_lengths
    places = torch.arange(int(lengths.max()))
    masks = places < lengths[:, None]
    padded_rewards = pad_sequence(rewards, batch_first=True)
    padded_log_probs = pad_sequence(log_probs, batch_first=True)
    padded_lm = None
    if lm_log_probs is not None:
        empty = padded_rewards.new_zeros(1)
        parts = [lm_log_probs.get(k, empty) for k in range(len(lengths))]
        longest = len(places)
        padded_lm = torch.stack(
            [torch.nn.functional.pad(part, (0, longest - len(part))) for part in parts]
        )

    def side(rows: Tensor, lm: Tensor | None) -> Side:
        return Side(
            rewards=padded_rewards[rows],
            mask=masks[rows],
            log_probs=padded_log_probs[rows],
            lm_log_probs=None if lm is None else lm[rows],
        )

    return PairBatch(side(group.chosen, padded_lm), side(group.rejected, None))
