"""GRM as the ICRM authors' release trains it: ICRM with a = 0, that is L_BT + L_SFT."""

from steps.objectives.bradley_terry import BradleyTerry
from steps.objectives.declaration import Method, Weighted
from steps.objectives.language_model import LanguageModel

METHOD = Method(
    title="GRM (release form)",
    description="Bradley-Terry plus the language-model term on chosen responses",
    terms=lambda experiment: [Weighted(1.0, BradleyTerry()), Weighted(1.0, LanguageModel())],
)
