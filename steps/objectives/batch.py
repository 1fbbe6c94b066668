"""What a loss term sees: B preference pairs, each side padded to its longest response."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Side:
    """The chosen or the rejected responses of B pairs; L is the longest response.

    Attributes:
        rewards: [B, L], reward at every response token; padding is any finite value.
        mask: [B, L], true on response tokens (the end-of-turn token included), a prefix of the row.
        log_probs: [B, L], generator log-probability of each token; padding is any value.
        lm_log_probs: [B, L], the same under the LM head that is trained along, or None where no
            term asked for it.
    """

    rewards: Tensor
    mask: Tensor
    log_probs: Tensor
    lm_log_probs: Tensor | None = None

    @property
    def lengths(self) -> Tensor:
        """[B], tokens of each response."""
        return self.mask.sum(1)

    @property
    def final_rewards(self) -> Tensor:
        """[B], reward at the last response token: the reward of the response."""
        return self.rewards.gather(1, self.lengths[:, None] - 1)[:, 0]


@dataclass(frozen=True)
class PairBatch:
    """B preference pairs."""

    chosen: Side
    rejected: Side


@dataclass(frozen=True)
class PairLengths:
    """Response lengths of B pairs: all that a term may use to count what it averages over.

    The counts of a whole optimiser step are needed before its first micro-batch is computed.
    """

    chosen: Tensor
    rejected: Tensor
