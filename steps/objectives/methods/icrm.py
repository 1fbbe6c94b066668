"""ICRM: L = (1 - a) L_BT + a L_IC + L_SFT (arXiv 2506.09096, a = 0.1 in the release)."""

from steps.config.schema import Experiment
from steps.objectives.bradley_terry import BradleyTerry
from steps.objectives.consistency import Consistency
from steps.objectives.declaration import Method, Weighted
from steps.objectives.language_model import LanguageModel


def _terms(experiment: Experiment) -> list[Weighted]:
    settings = experiment.consistency
    return [
        Weighted(1 - settings.weight, BradleyTerry()),
        Weighted(settings.weight, Consistency(settings.normaliser_decay)),
        Weighted(1.0, LanguageModel()),
    ]


METHOD = Method(
    title="ICRM",
    description="GRM plus intra-trajectory consistency weighted by generator probabilities",
    terms=_terms,
)
