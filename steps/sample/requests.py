"""Which samples are asked for: N of each prompt, as token ids."""

from steps.chat import ChatFormat
from steps.config import Experiment
from steps.config.policy import SampleUse, Sampling
from steps.errors import UserError
from steps.groups.schema import PromptGroup
from steps.sample.backend import Request
from steps.sample.draw import sample_key


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


def make_requests(
    groups: list[PromptGroup], chat: ChatFormat, sampling: Sampling, context: int
) -> list[Request]:
    """Return the requests for all samples, those of a prompt together.

    Args:
        context: how many tokens the model can read.
    Raises:
        UserError: a prompt spells a control token, or leaves no room for the answer.
    """
    requests: list[Request] = []
    room = context - sampling.max_new_tokens
    for group in groups:
        text = asked(group.prompt, sampling)
        try:
            prompt = tuple(chat.encode_prompt(text))
        except UserError as error:
            raise UserError(f"group '{group.group_id}': {error}") from None
        if len(prompt) > room:
            raise UserError(
                f"the prompt of group '{group.group_id}' has {len(prompt):,} tokens, but the "
                f"model's context of {context:,} leaves {max(room, 0):,} beside max_new_tokens: "
                f"{sampling.max_new_tokens}; remove the group or lower max_new_tokens"
            )
        requests += [
            Request(len(requests) + k, prompt, sample_key(sampling.seed, text, k))
            for k in range(sampling.samples)
        ]
    return requests
