"""The interface of a loss term."""

from abc import ABC, abstractmethod

from torch import Tensor

from steps.objectives.batch import PairBatch, PairLengths


class Term(ABC):
    """One term of a loss: a sum over a micro-batch, divided by a count over the optimiser step.

    Splitting each mean into sum and count makes the gradient independent of how an optimiser step
    is cut into micro-batches.

    Attributes:
        name: column of the training log.
        needs_language_model: the term reads `Side.lm_log_probs` of the chosen responses.
        needs_first_look: before the first step, the trainer must pass the step's batches through
            `total` once without gradient and call `end_step`.
    """

    name: str
    needs_language_model = False
    needs_first_look = False

    @abstractmethod
    def count(self, lengths: PairLengths) -> int:
        """Return how many items the mean runs over, from the response lengths alone."""

    @abstractmethod
    def total(self, batch: PairBatch) -> Tensor:
        """Return the differentiable sum over the micro-batch, a scalar."""

    def end_step(self, count: int) -> None:  # noqa: B027 (most terms remember nothing)
        """Update what the term remembers; ``count`` is the count of the whole optimiser step."""

    def state(self) -> dict[str, float]:
        """Return what the term remembers, for the training log."""
        return {}
