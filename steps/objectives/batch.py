"""What a loss term sees: responses with their labels, each side padded to its longest response."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Side:
    """Responses with one label; B of them, L is the longest.

    Attributes:
        rewards: [B, L], reward at every response token; padding is any finite value. None where a
            language model is trained, which gives none.
        mask: [B, L], true on response tokens (the end-of-turn token included), a prefix of the row.
        log_probs: [B, L], generator log-probability of each token; -inf outside the nucleus of a
            `top_p` below 1; padding is any value. None where that generator is being trained.
        ids: [B], a number per response that is the same in every batch, epoch and process.
        lm_log_probs: [B, L], log-probabilities under the LM that is trained along, or None where
            no term asked for them.
        row_means: [B], mean reward over the whole padded row of the model's input, prompt and
            padding included, without gradient; None in the packed layout.
    """

    rewards: Tensor | None
    mask: Tensor
    log_probs: Tensor | None
    ids: Tensor
    lm_log_probs: Tensor | None = None
    row_means: Tensor | None = None

    @property
    def lengths(self) -> Tensor:
        """[B], tokens of each response."""
        return self.mask.sum(1)

    @property
    def final_rewards(self) -> Tensor:
        """[B], reward at the last response token: the reward of the response."""
        return self.rewards.gather(1, self.lengths[:, None] - 1)[:, 0]

    def in_full_precision(self) -> "Side":
        """Return the side with half-precision numbers widened to float32."""
        halves = {
            field.name: value.float()
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
            and value.dtype in (torch.bfloat16, torch.float16)
        }
        return replace(self, **halves)


@dataclass(frozen=True)
class Batch:
    """A micro-batch.

    Attributes:
        chosen: the better response of each pair; with pointwise labels all right responses.
        rejected: the worse response of each pair; with pointwise labels all wrong responses.
        paired: row b of one side belongs to row b of the other. Otherwise the sides are independent
            and may differ in size, and one may have no row at all.
        margins: [B], difference of the ratings of each pair, or None where no term asked for it.
    """

    chosen: Side
    rejected: Side
    paired: bool = True
    margins: Tensor | None = None


@dataclass(frozen=True)
class Lengths:
    """Response lengths of a micro-batch: all that a term may use to count what it averages over.

    The counts of a whole optimiser step are needed before its first micro-batch is computed.
    """

    chosen: Tensor
    rejected: Tensor
    paired: bool = True

    @property
    def pairs(self) -> int:
        """How many pairs; with pointwise labels, how many responses."""
        return len(self.chosen) if self.paired else len(self.chosen) + len(self.rejected)
