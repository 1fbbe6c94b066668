"""Control of ICRM: w = 1 - p. Does the sign of the generator's certainty matter?"""

from steps.objectives.consistency import Consistency
from steps.objectives.declaration import Method
from steps.objectives.methods.icrm import icrm_terms
from steps.objectives.weights import inverted

METHOD = Method(
    title="ICRM, inverted weights",
    description="ICRM with w = 1 - p, one minus the generator's probability",
    reads=("consistency",),
    terms=lambda experiment: icrm_terms(experiment, Consistency(experiment.consistency, inverted)),
)
