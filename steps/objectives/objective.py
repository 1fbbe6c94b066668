"""The loss of one training run: a method's terms, summed over whole optimiser steps."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from steps.objectives.batch import Batch, Lengths
from steps.objectives.declaration import Weighted
from steps.objectives.term import Need


class Objective:
    """Sums weighted terms so that micro-batches of one optimiser step add up to its exact means.

    Per step: `begin_step` with the lengths of all its micro-batches (those of other processes
    included), `loss` for each micro-batch (the parts add up to the step's loss), `end_step`.
    """

    def __init__(self, terms: list[Weighted]):
        self.terms = terms
        self.counts: list[int] = []
        # The step's mean of each term, complete after `end_step`. Until then the parts stay on the
        # device, so that no micro-batch waits for them.
        self.values: dict[str, float] = {}
        self._sums: dict[str, Tensor | float] = {}

    @property
    def needs(self) -> frozenset[Need]:
        """What any of the terms needs."""
        return frozenset().union(*(w.term.needs for w in self.terms))

    @property
    def needs_first_look(self) -> bool:
        """Whether a term must see the first step once without gradient before it is taken."""
        return any(w.term.needs_first_look for w in self.terms)

    def begin_step(self, lengths: list[Lengths]) -> None:
        """Count what each mean of the step runs over."""
        self.counts = [sum(w.term.count(part) for part in lengths) for w in self.terms]
        self._sums = {w.term.name: 0.0 for w in self.terms}
        for weighted in self.terms:
            weighted.term.begin_step()

    def loss(self, batch: Batch) -> Tensor:
        """Return this micro-batch's share of the step's loss, a scalar.

        The model may run in half precision; the mathematics of the loss runs in float32 at least.
        """
        batch = replace(
            batch,
            chosen=batch.chosen.in_full_precision(),
            rejected=batch.rejected.in_full_precision(),
        )
        loss = 0.0
        for weighted, count in zip(self.terms, self.counts, strict=True):
            mean = weighted.term.total(batch) / max(count, 1)
            self._sums[weighted.term.name] += mean.detach()
            loss = loss + weighted.weight * mean
        return loss

    def end_step(self, over_processes: Callable[[float], float] = lambda value: value) -> None:
        """Let the terms update what they remember, and complete `values` over all processes."""
        self.values = {name: over_processes(float(sum_)) for name, sum_ in self._sums.items()}
        for weighted, count in zip(self.terms, self.counts, strict=True):
            weighted.term.end_step(count, over_processes)

    def state(self) -> dict[str, float | None]:
        """Return what the terms remember, under ``<term>_<name>``."""
        return {
            f"{w.term.name}_{key}": value
            for w in self.terms
            for key, value in w.term.state().items()
        }

    def load_state(self, state: dict[str, float | None]) -> None:
        """Continue from a `state`."""
        for weighted in self.terms:
            prefix = f"{weighted.term.name}_"
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            weighted.term.load_state(own)
