"""What is sampled for which use, and how a policy is asked."""

import sys
from collections import Counter
from pathlib import Path
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


def check_ended(counts: Counter, use: Use, model: str, path: Path) -> None:
    """Refuse samples of which none ended; answers that judges read are judged as they are.

    Args:
        counts: of the samples, by how they ended.
        model: author of the samples.
        path: of their file.
    Raises:
        UserError: naming the key of the limit.
    """
    if counts["stop"]:
        return
    section = "data.sampling" if use == "solutions" else f"policy.sampling.{use}"
    samples = f"{path}: none of the {counts['length']:,} samples of '{model}'"
    none = f"{samples} ended within {section}.max_new_tokens"
    if use in ("policies", "policies_sampled"):
        print(f"{none}; they are judged as they were cut", file=sys.stderr)
    else:
        raise UserError(f"{none}; raise it, or take a model that was trained to end its turn")


def asked(prompt: str, sampling: Sampling) -> str:
    """Return the prompt as the policy reads it."""
    return prompt if sampling.instruction is None else f"{prompt}\n\n{sampling.instruction}"
