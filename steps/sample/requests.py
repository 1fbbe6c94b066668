"""Which samples are asked for: N of each prompt, as token ids."""

from steps.chat import ChatFormat
from steps.config.sampling import Sampling, SolutionSampling
from steps.errors import UserError
from steps.groups.schema import PromptGroup
from steps.sample.backend import Request
from steps.sample.draw import sample_key
from steps.sample.settings import asked


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
    system = sampling.system if isinstance(sampling, SolutionSampling) else None
    for group in groups:
        text = asked(group.prompt, sampling)
        try:
            prompt = tuple(chat.encode_prompt(text, system))
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
