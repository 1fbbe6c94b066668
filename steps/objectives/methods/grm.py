"""Generalizable Reward Model: L = (1 - w) L_BT + w L_reg (arXiv 2406.10216, w = 0.01 there)."""

from steps.config.schema import Experiment
from steps.objectives.declaration import Method, Weighted
from steps.objectives.grm import grm_term
from steps.objectives.outcome import outcome_term


def _terms(experiment: Experiment) -> list[Weighted]:
    weight = experiment.grm.weight
    return [
        Weighted(1 - weight, outcome_term(experiment)),
        Weighted(weight, grm_term(experiment.grm)),
    ]


METHOD = Method(
    title="GRM",
    description="the outcome loss regularised by text generation, in the form of grm.form",
    reads=("grm",),
    terms=_terms,
    # The paper knows no such factor; the one of the training section is the ICRM release's.
    lm_gradient_scale=lambda experiment: experiment.grm.lm_gradient_scale,
)
