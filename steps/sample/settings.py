"""What is sampled for which use, and how a policy is asked."""

from typing import Literal

from steps.config import Experiment
from steps.config.policy import SampleUse
from steps.config.sampling import Sampling
from steps.errors import UserError

# What reward models are trained and tested on, beside what policies are made and measured with.
Use = Literal[SampleUse, "solutions"]


def sampling_for(experiment: Experiment, use: Use, solved: str = "train") -> Sampling:
    """Return the settings of the samples for one use.

    Args:
        solved: the set whose `solutions` are sampled.
    Raises:
        UserError: the experiment has none.
    """
    if use == "solutions":
        return experiment.sampled_set(solved).sampling
    sampling = experiment.policy.sampling if experiment.policy else {}
    if use not in sampling:
        raise UserError(
            f"the experiment file lacks policy.sampling.{use}; give its samples and max_new_tokens"
        )
    return sampling[use]


def asked(prompt: str, sampling: Sampling) -> str:
    """Return the prompt as the policy reads it."""
    return prompt if sampling.instruction is None else f"{prompt}\n\n{sampling.instruction}"
