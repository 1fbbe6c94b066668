"""ORM with the margin of the ratings in Bradley-Terry (arXiv 2307.09288)."""

from steps.objectives.declaration import Method, Weighted
from steps.objectives.margin import MarginBradleyTerry

METHOD = Method(
    title="ORM + margin",
    description="Bradley-Terry whose margin is the difference of the ratings",
    reads=("bradley_terry",),
    terms=lambda experiment: [
        Weighted(1.0, MarginBradleyTerry(experiment.bradley_terry.margin_scale))
    ],
    needs_ratings=True,
)
