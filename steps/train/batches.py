"""Which prompt groups an optimiser step sees, how they are shared out, and what a term gets."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from steps.cache.tokens import CachedGroup, TokenStore
from steps.errors import UserError
from steps.groups.schema import PromptGroup
from steps.objectives.batch import Lengths


@dataclass(frozen=True, slots=True)
class TrainingGroup:
    """A cached prompt group with its labels; each response is computed once per step.

    Attributes:
        chosen: [B], index of the chosen response of each pair; pointwise: of each right response.
        rejected: [B], of the rejected response; pointwise: of each wrong response, in any number.
        margins: [B], rating difference of each pair, NaN where there is none; None if pointwise.
    """

    cached: CachedGroup
    chosen: Tensor
    rejected: Tensor
    margins: Tensor | None

    @property
    def paired(self) -> bool:
        return self.margins is not None

    @property
    def response_lengths(self) -> Tensor:
        """[K], tokens of each response."""
        return torch.tensor([end - start for start, end in self.cached.span.responses])

    @property
    def lengths(self) -> Lengths:
        """What the terms count."""
        lengths = self.response_lengths
        return Lengths(lengths[self.chosen], lengths[self.rejected], self.paired)

    @property
    def padded_tokens(self) -> tuple[int, int]:
        """Rows, and tokens of the longest row, when every response stands in a row of its own."""
        start, end = self.cached.span.prompt
        return len(self.cached.span.responses), end - start + int(self.response_lengths.max())


def pair_groups(cache: TokenStore, pairs: pd.DataFrame) -> list[TrainingGroup]:
    """Return the groups that have pairs, in the order of the cache."""
    places = pd.Index(cache.groups).get_indexer(pairs["group_id"])
    order = np.argsort(places, kind="stable")
    bounds = np.searchsorted(places[order], np.arange(len(cache.groups) + 1))
    pairs = pairs.iloc[order]
    # The groups share these: a tensor of its own for each would take several times the memory.
    chosen, rejected = _integers(pairs["chosen"]), _integers(pairs["rejected"])
    margins = torch.from_numpy(pairs["margin"].to_numpy(np.float32, na_value=np.nan, copy=True))
    return [
        TrainingGroup(cached, chosen[start:end], rejected[start:end], margins[start:end])
        for cached, (start, end) in zip(cache.groups.values(), pairwise(bounds), strict=True)
        if start < end
    ]


def labelled_groups(cache: TokenStore, groups: list[PromptGroup]) -> list[TrainingGroup]:
    """Return the groups that have a response known to be right or wrong, for pointwise labels.

    Raises:
        UserError: there is no such response.
    """
    labels = {group.group_id: [r.correct for r in group.responses] for group in groups}
    made = []
    for group_id, cached in cache.groups.items():
        known = labels[group_id]
        right, wrong = ([k for k, c in enumerate(known) if c is value] for value in (True, False))
        if right or wrong:
            made.append(TrainingGroup(cached, _integers(right), _integers(wrong), None))
    if not made:
        raise UserError(
            "no training response is labelled right or wrong; give `correct` labels or set "
            "training.labels: pairwise"
        )
    return made


def _integers(values) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.int64))


def step_plan(groups: int, groups_per_step: int, epochs: int, seed: int) -> list[list[int]]:
    """Return, for every optimiser step, the groups that it sees: a new shuffle each epoch."""
    generator = np.random.default_rng(seed)
    steps = []
    for _ in range(epochs):
        order = generator.permutation(groups).tolist()
        steps += [order[i : i + groups_per_step] for i in range(0, groups, groups_per_step)]
    return steps


@dataclass(frozen=True)
class MicroBatch:
    """Groups that are computed together. One that does not count only keeps processes in step."""

    groups: list[TrainingGroup]
    counts: bool = True


def share_out(
    groups: list[TrainingGroup], processes: int, tokens_per_batch: int, padded: bool
) -> list[list[MicroBatch]]:
    """Return the micro-batches of every process for one optimiser step.

    Groups are sorted by length and dealt out one by one, so the processes get like amounts; each
    process cuts its groups into batches of like length. All get the same number of batches, since
    every backward pass of data-parallel training waits for the others.
    """
    ordered = sorted(groups, key=lambda g: (g.cached.span.tokens, g.cached.span.prompt[0]))
    dealt = [ordered[rank::processes] for rank in range(processes)]
    shares = [[MicroBatch(b) for b in _cut(part, tokens_per_batch, padded)] for part in dealt]
    most = max(map(len, shares))
    filler = MicroBatch(ordered[:1], counts=False)
    return [share + [filler] * (most - len(share)) for share in shares]


def _cut(
    groups: list[TrainingGroup], tokens_per_batch: int, padded: bool
) -> list[list[TrainingGroup]]:
    batches: list[list[TrainingGroup]] = []
    for group in groups:
        if not batches or _tokens([*batches[-1], group], padded) > tokens_per_batch:
            batches.append([])
        batches[-1].append(group)
    return batches


def _tokens(groups: list[TrainingGroup], padded: bool) -> int:
    """Tokens that a micro-batch makes the model compute."""
    if not padded:
        return sum(group.cached.span.tokens for group in groups)
    rows, longest = zip(*(group.padded_tokens for group in groups), strict=True)
    return sum(rows) * max(longest)


def padding_share(batches: list[MicroBatch]) -> float:
    """Return which share of the tokens that padded batches compute is padding."""
    computed = sum(_tokens(batch.groups, padded=True) for batch in batches)
    useful = 0
    for batch in batches:
        for group in batch.groups:
            start, end = group.cached.span.prompt
            rows = len(group.cached.span.responses)
            useful += rows * (end - start) + int(group.response_lengths.sum())
    return 1 - useful / computed
