"""ORM with smoothed preference labels."""

from steps.objectives.declaration import Method, Weighted
from steps.objectives.label_smoothing import SmoothedBradleyTerry

METHOD = Method(
    title="ORM + label smoothing",
    description="Bradley-Terry that takes a share of the preferences to be the wrong way round",
    reads=("bradley_terry",),
    terms=lambda experiment: [
        Weighted(1.0, SmoothedBradleyTerry(experiment.bradley_terry.label_smoothing))
    ],
)
