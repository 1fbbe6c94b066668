"""What is sampled for which use, and how a policy is asked."""

from typing import Literal

from steps.config import Experiment
from steps.config.hub_data import Prm800kData
from steps.config.policy import SampleUse
from steps.config.sampling import Sampling
from steps.errors import UserError

# What reward models are trained on, beside what policies are made and measured with.
Use = Literal[SampleUse, "solutions"]


def sampling_for(experiment: Experiment, use: Use) -> Sampling:
    """Return the settings of the samples for one use.

    Raises:
        UserError: the experiment has none.
    """
    if use == "solutions":
        if not isinstance(experiment.data, Prm800kData) or experiment.data.sampling is None:
            raise UserError(
                "the experiment file lacks data.sampling; give its samples and max_new_tokens"
            )
        return experiment.data.sampling
    sampling = experiment.policy.sampling if experiment.policy else {}
    if use not in sampling:
        raise UserError(
            f"the experiment file lacks policy.sampling.{use}; give its samples and max_new_tokens"
        )
    return sampling[use]


def asked(prompt: str, sampling: Sampling) -> str:
    """Return the prompt as the policy reads it."""
    return prompt if sampling.instruction is None else f"{prompt}\n\n{sampling.instruction}"
