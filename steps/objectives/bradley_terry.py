"""The Bradley-Terry loss of response-level preferences."""

import torch.nn.functional as F
from torch import Tensor

from steps.objectives.batch import PairBatch, PairLengths
from steps.objectives.term import Term


def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Return -log sigma(R_c - R_r), [B], of final rewards [B] (Bradley and Terry, 1952).

    Written with softplus, which neither overflows nor loses small values.
    """
    return F.softplus(rejected - chosen)


class BradleyTerry(Term):
    """Mean over pairs of `bradley_terry_loss`."""

    name = "bradley_terry"

    def count(self, lengths: PairLengths) -> int:
        return len(lengths.chosen)

    def total(self, batch: PairBatch) -> Tensor:
        chosen, rejected = batch.chosen.final_rewards, batch.rejected.final_rewards
        return bradley_terry_loss(chosen, rejected).sum()
