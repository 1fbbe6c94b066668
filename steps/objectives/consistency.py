"""Intra-trajectory consistency: adjacent prefixes have close rewards where the generator found
the connecting token probable (arXiv 2506.09096; details follow the authors' release).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from steps.config import schema
from steps.objectives.batch import Batch, Lengths, Side
from steps.objectives.normaliser import MicroBatchNormaliser, Normaliser, StepNormaliser
from steps.objectives.term import Need, Term
from steps.objectives.weights import inside, probability

EPSILON_LOG = 1e-6  # e of the neighbour term
EPSILON_NORMALISER = 1e-6


def mean_reward(side: Side) -> Tensor:
    """Return the mean reward over each response's tokens, [B], without gradient."""
    mask = side.mask.to(side.rewards.dtype)
    return ((side.rewards * mask).sum(1) / mask.sum(1)).detach()


def soft_wins_of_pairs(
    chosen: Tensor, rejected: Tensor, mean_chosen: Tensor, mean_rejected: Tensor
) -> tuple[Tensor, Tensor]:
    """Return how surely each prefix beats the opposite response, q_c and q_r, [B, L] each.

    q_c[t] = sigma(r_c[t] - sg(mean_s r_r[s])),  q_r[t] = 1 - sigma(r_r[t] - sg(mean_s r_c[s])).

    Args:
        chosen: [B, L] rewards r_c; rejected: [B, L'] rewards r_r.
        mean_chosen: [B], mean_s r_c[s]; mean_rejected likewise; both without gradient.
    """
    # 1 - sigma(x) = sigma(-x), without the cancellation.
    return (
        torch.sigmoid(chosen - mean_rejected[:, None]),
        torch.sigmoid(mean_chosen[:, None] - rejected),
    )


def soft_wins_of_responses(right: Tensor, wrong: Tensor) -> tuple[Tensor, Tensor]:
    """Return how surely each prefix is on its label's side, of rewards [B, L] and [B', L'].

    q[t] = sigma(r[t]) for right and 1 - sigma(r[t]) for wrong responses.
    """
    return torch.sigmoid(right), torch.sigmoid(-wrong)


def neighbour_loss(wins: Tensor) -> Tensor:
    """Return s[t], [B, L - 1], the symmetric cross-entropy of neighbours, of soft wins q [B, L].

    s[t] = -1/2 ( log(q[t] + e) sg(q[t+1]) + sg(q[t]) log(q[t+1] + e) ).
    """
    here, following = wins[:, :-1], wins[:, 1:]
    return -0.5 * (
        torch.log(here + EPSILON_LOG) * following.detach()
        + here.detach() * torch.log(following + EPSILON_LOG)
    )


def weighted_sums(wins: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return sum s w m and, without gradient, sum 1/2 (q[t] + q[t+1]) w m, both scalars."""
    loss = (neighbour_loss(wins) * weights).sum()
    level = (0.5 * (wins[:, :-1] + wins[:, 1:]) * weights).sum().detach()
    return loss, level


def count_neighbours(lengths: Lengths) -> int:
    """Return sum m: the neighbouring places (t, t + 1) inside the responses of both sides."""
    return int((lengths.chosen - 1).sum() + (lengths.rejected - 1).sum())


class Consistency(Term):
    """L_IC = (sum s w m / sum m) / (Z + 1e-6) over the responses of both sides.

    Z follows the level of the soft wins, see `steps.objectives.normaliser`; without a normaliser
    nothing is divided.
    """

    name = "consistency"

    def __init__(
        self, settings: schema.Consistency, weights: Callable[[Side], Tensor] = probability
    ):
        """``weights``: one of `steps.objectives.weights`."""
        self.padded_row = settings.reference_mean == "padded_row"
        self.needs = frozenset({Need.PADDED_ROWS} if self.padded_row else ())
        self.weights = weights
        self.normaliser = make_normaliser(settings)

    @property
    def needs_first_look(self) -> bool:
        return self.normaliser is not None and self.normaliser.needs_first_look

    def count(self, lengths: Lengths) -> int:
        return count_neighbours(lengths)

    def total(self, batch: Batch) -> Tensor:
        wins_c, wins_r = self._soft_wins(batch)
        loss_c, level_c = weighted_sums(wins_c, self.weights(batch.chosen))
        loss_r, level_r = weighted_sums(wins_r, self.weights(batch.rejected))
        loss = loss_c + loss_r
        if self.normaliser is None:
            return loss
        count = inside(batch.chosen).sum() + inside(batch.rejected).sum()
        return loss / (self.normaliser.divisor(level_c + level_r, count) + EPSILON_NORMALISER)

    def _soft_wins(self, batch: Batch) -> tuple[Tensor, Tensor]:
        chosen, rejected = batch.chosen, batch.rejected
        if not batch.paired:
            return soft_wins_of_responses(chosen.rewards, rejected.rewards)
        if self.padded_row:
            means = chosen.row_means, rejected.row_means
        else:
            means = mean_reward(chosen), mean_reward(rejected)
        return soft_wins_of_pairs(chosen.rewards, rejected.rewards, *means)

    def begin_step(self) -> None:
        if self.normaliser is not None:
            self.normaliser.begin_step()

    def end_step(self, count: int, over_processes: Callable[[float], float]) -> None:
        if self.normaliser is not None:
            self.normaliser.end_step(count, over_processes)

    def state(self) -> dict[str, float | None]:
        return {} if self.normaliser is None else {"normaliser": self.normaliser.value}

    def load_state(self, state: dict[str, float | None]) -> None:
        if self.normaliser is not None:
            self.normaliser.value = state["normaliser"]


def make_normaliser(settings: schema.Consistency) -> Normaliser | None:
    """Return the normaliser that ``settings`` name, or None for no division at all."""
    if settings.normaliser == "none":
        return None
    if settings.normaliser_update == "micro_batch":
        return MicroBatchNormaliser(settings.normaliser_decay)
    return StepNormaliser(settings.normaliser_decay)
