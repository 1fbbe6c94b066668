"""Intra-trajectory consistency: adjacent prefixes have close rewards where the generator found
the connecting token probable (arXiv 2506.09096; details follow the authors' release).
"""

import torch
from torch import Tensor

from steps.objectives.batch import PairBatch, PairLengths, Side
from steps.objectives.term import Term

EPSILON_LOG = 1e-6  # e of the neighbour term
EPSILON_NORMALISER = 1e-6


def mean_reward(side: Side) -> Tensor:
    """Return the mean reward over each response's tokens, [B], without gradient."""
    mask = side.mask.to(side.rewards.dtype)
    return ((side.rewards * mask).sum(1) / mask.sum(1)).detach()


def soft_wins(batch: PairBatch) -> tuple[Tensor, Tensor]:
    """Return how surely each prefix is on its label's side, [B, L] for chosen and for rejected.

    q_c[t] = sigma(r_c[t] - sg(mean_s r_r[s])),  q_r[t] = 1 - sigma(r_r[t] - sg(mean_s r_c[s])).
    """
    chosen = torch.sigmoid(batch.chosen.rewards - mean_reward(batch.rejected)[:, None])
    # 1 - sigma(x) = sigma(-x), without the cancellation.
    rejected = torch.sigmoid(mean_reward(batch.chosen)[:, None] - batch.rejected.rewards)
    return chosen, rejected


def neighbour_loss(wins: Tensor) -> Tensor:
    """Return s[t], [B, L - 1], the symmetric cross-entropy of neighbours, of soft wins q [B, L].

    s[t] = -1/2 ( log(q[t] + e) sg(q[t+1]) + sg(q[t]) log(q[t+1] + e) ).
    """
    here, following = wins[:, :-1], wins[:, 1:]
    return -0.5 * (
        torch.log(here + EPSILON_LOG) * following.detach()
        + here.detach() * torch.log(following + EPSILON_LOG)
    )


def generator_weights(side: Side) -> Tensor:
    """Return w[t] m[t], [B, L - 1]: the probability of token t + 1 where the pair (t, t + 1) lies
    inside the response, 0 elsewhere. No gradient.
    """
    weights = side.log_probs[:, 1:].exp().detach()
    # Padding may hold anything, NaN included, so it is replaced and not multiplied away.
    return torch.where(side.mask[:, 1:], weights, torch.zeros_like(weights))


def weighted_sums(wins: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return sum s w m and, without gradient, sum 1/2 (q[t] + q[t+1]) w m, both scalars."""
    loss = (neighbour_loss(wins) * weights).sum()
    level = (0.5 * (wins[:, :-1] + wins[:, 1:]) * weights).sum().detach()
    return loss, level


class Consistency(Term):
    """L_IC = (sum s w m / sum m) / (Z + 1e-6) over chosen and rejected responses.

    Z is the exponential moving average of sum 1/2 (q[t] + q[t+1]) w m / sum m. It is training state
    and is computed from sums over the whole optimiser step; a step uses the Z of the steps before
    it, the first step its own. So accumulation over micro-batches changes nothing.
    """

    name = "consistency"

    def __init__(self, decay: float):
        self.decay = decay
        self.normaliser: float | None = None
        self._level = 0.0

    def count(self, lengths: PairLengths) -> int:
        return int((lengths.chosen - 1).sum() + (lengths.rejected - 1).sum())

    @property
    def needs_first_look(self) -> bool:
        return self.normaliser is None

    def total(self, batch: PairBatch) -> Tensor:
        chosen, rejected = soft_wins(batch)
        loss_c, level_c = weighted_sums(chosen, generator_weights(batch.chosen))
        loss_r, level_r = weighted_sums(rejected, generator_weights(batch.rejected))
        self._level += float(level_c + level_r)
        return (loss_c + loss_r) / ((self.normaliser or 0.0) + EPSILON_NORMALISER)

    def end_step(self, count: int) -> None:
        level, self._level = self._level / max(count, 1), 0.0
        if self.normaliser is None:
            self.normaliser = level
        else:
            self.normaliser = self.decay * self.normaliser + (1 - self.decay) * level

    def state(self) -> dict[str, float]:
        return {"normaliser": self.normaliser}
