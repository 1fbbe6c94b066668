"""Control of ICRM: every neighbour has the weight 1. Does the generator matter at all?"""

from steps.objectives.consistency import Consistency
from steps.objectives.declaration import Method
from steps.objectives.methods.icrm import icrm_terms
from steps.objectives.weights import one

METHOD = Method(
    title="ICRM, uniform weights",
    description="ICRM with w = 1 in place of the generator's probability",
    reads=("consistency",),
    terms=lambda experiment: icrm_terms(experiment, Consistency(experiment.consistency, one)),
)
