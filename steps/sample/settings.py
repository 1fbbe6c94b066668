"""What is sampled for which use, and how a policy is asked."""

from steps.config import Experiment
from steps.config.policy import SampleUse, Sampling
from steps.errors import UserError


def sampling_for(experiment: Experiment, use: SampleUse) -> Sampling:
    """Return the settings of the samples for one use.

    Raises:
        UserError: the experiment has none.
    """
    sampling = experiment.policy.sampling if experiment.policy else {}
    if use not in sampling:
        raise UserError(
            f"the experiment file lacks policy.sampling.{use}; give its samples and max_new_tokens"
        )
    return sampling[use]


def asked(prompt: str, sampling: Sampling) -> str:
    """Return the prompt as the policy reads it."""
    return prompt if sampling.instruction is None else f"{prompt}\n\n{sampling.instruction}"
