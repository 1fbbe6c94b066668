"""ICRM: L = (1 - a) L_BT + a L_IC + L_SFT (arXiv 2506.09096, a = 0.1 in the release)."""

from steps.config.schema import Experiment
from steps.objectives.consistency import Consistency
from steps.objectives.declaration import Method, Weighted
from steps.objectives.language_model import LanguageModel
from steps.objectives.outcome import outcome_term
from steps.objectives.term import Term


def icrm_terms(experiment: Experiment, regulariser: Term) -> list[Weighted]:
    """Return ICRM's terms with ``regulariser`` in the place of L_IC, as its controls have them."""
    weight = experiment.consistency.weight
    return [
        Weighted(1 - weight, outcome_term(experiment)),
        Weighted(weight, regulariser),
        Weighted(1.0, LanguageModel()),
    ]


METHOD = Method(
    title="ICRM",
    description="GRM plus intra-trajectory consistency weighted by generator probabilities",
    reads=("consistency",),
    terms=lambda experiment: icrm_terms(experiment, Consistency(experiment.consistency)),
)
