"""Control of ICRM: the same weights in other places. Does it matter where the generator is sure?"""

from steps.objectives.consistency import Consistency
from steps.objectives.declaration import Method
from steps.objectives.methods.icrm import icrm_terms
from steps.objectives.weights import shuffled_probability

METHOD = Method(
    title="ICRM, shuffled weights",
    description="ICRM with the generator's probabilities permuted inside each response",
    reads=("consistency",),
    terms=lambda experiment: icrm_terms(
        experiment, Consistency(experiment.consistency, shuffled_probability)
    ),
)
