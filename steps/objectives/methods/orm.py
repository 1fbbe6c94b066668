"""Outcome reward model: Bradley-Terry on response-level labels and nothing else."""

from steps.objectives.bradley_terry import BradleyTerry
from steps.objectives.declaration import Method, Weighted

METHOD = Method(
    title="ORM",
    description="Bradley-Terry on the final reward",
    terms=lambda experiment: [Weighted(1.0, BradleyTerry())],
)
