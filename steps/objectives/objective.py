"""The loss of one training run: a method's terms, summed over whole optimiser steps."""

from torch import Tensor

from steps.objectives.batch import PairBatch, PairLengths
from steps.objectives.declaration import Weighted


class Objective:
    """Sums weighted terms so that micro-batches of one optimiser step add up to its exact means.

    Per step: `begin_step` with the lengths of all its micro-batches, `loss` for each micro-batch
    (the parts add up to the step's loss), `end_step`.
    """

    def __init__(self, terms: list[Weighted]):
        self.terms = terms
        self.counts: list[int] = []
        self.values: dict[str, float] = {}

    @property
    def needs_language_model(self) -> bool:
        """Whether any term reads log-probabilities of the LM head."""
        return any(w.term.needs_language_model for w in self.terms)

    @property
    def needs_first_look(self) -> bool:
        """Whether a term must see the first step once without gradient before it is taken."""
        return any(w.term.needs_first_look for w in self.terms)

    def begin_step(self, lengths: list[PairLengths]) -> None:
        """Count what each mean of the step runs over."""
        self.counts = [sum(w.term.count(part) for part in lengths) for w in self.terms]
        self.values = {w.term.name: 0.0 for w in self.terms}

    def loss(self, batch: PairBatch) -> Tensor:
        """Return this micro-batch's share of the step's loss, a scalar."""
        loss = batch.chosen.rewards.new_zeros(())
        for weighted, count in zip(self.terms, self.counts, strict=True):
            mean = weighted.term.total(batch) / max(count, 1)
            self.values[weighted.term.name] += float(mean.detach())
            loss = loss + weighted.weight * mean
        return loss

    def end_step(self) -> None:
        """Let the terms update what they remember."""
        for weighted, count in zip(self.terms, self.counts, strict=True):
            weighted.term.end_step(count)

    def state(self) -> dict[str, float]:
        """Return what the terms remember, under ``<term>_<name>``."""
        return {
            f"{w.term.name}_{key}": value
            for w in self.terms
            for key, value in w.term.state().items()
        }
