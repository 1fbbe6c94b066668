"""Control of ICRM: squared differences in place of L_IC. Is it more than smoothing?"""

from steps.objectives.declaration import Method
from steps.objectives.methods.icrm import icrm_terms
from steps.objectives.smoothing import Smoothing

METHOD = Method(
    title="ICRM, plain smoothing",
    description="ICRM with the weighted squared difference of neighbouring rewards as regulariser",
    reads=("consistency",),
    terms=lambda experiment: icrm_terms(experiment, Smoothing()),
)
