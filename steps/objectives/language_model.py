"""The language-model term: keep the backbone able to predict the chosen response."""

from torch import Tensor

from steps.objectives.batch import PairBatch, PairLengths
from steps.objectives.term import Term


def mean_negative_log_prob(log_probs: Tensor, mask: Tensor) -> Tensor:
    """Return -1/T sum_t log p(y[t]), [B], of log-probabilities [B, L] over tokens in ``mask``."""
    mask = mask.to(log_probs.dtype)
    return -(log_probs * mask).sum(1) / mask.sum(1)


class LanguageModel(Term):
    """L_SFT: mean over pairs of the chosen response's `mean_negative_log_prob`."""

    name = "language_model"
    needs_language_model = True

    def count(self, lengths: PairLengths) -> int:
        return len(lengths.chosen)

    def total(self, batch: PairBatch) -> Tensor:
        chosen = batch.chosen
        return mean_negative_log_prob(chosen.lm_log_probs, chosen.mask).sum()
