"""A prompt with one response as the tokens that a reward model reads.

A model of this pipeline reads what it was trained on: `steps.chat.ChatFormat` tokenises the prompt,
the response and the end-of-turn token one by one. Any other model reads its chat template rendered
as one text, as its own tools do; text after the end-of-turn token belongs to it.
"""

from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from steps.chat import (
    ChatFormat,
    EncodedResponse,
    adds_bos,
    control_tokens,
    refuse_controls,
    render,
    text_after_response,
)
from steps.errors import UserError
from steps.groups.schema import PromptGroup


@dataclass(frozen=True)
class Conversation:
    """Tokens of a prompt and of one response.

    Attributes:
        prompt: token ids before the response.
        response: the response's tokens and all that the template puts after them.
        truncated: whether its end was cut off.
    """

    prompt: list[int]
    response: EncodedResponse
    truncated: bool = False

    @property
    def tokens(self) -> int:
        return len(self.prompt) + len(self.response.ids)


class OwnFormat:
    """Encodes for a model of this pipeline, and for a language model."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.chat = ChatFormat(tokenizer)

    def encode(self, group: PromptGroup) -> list[Conversation]:
        """Return a conversation for each response."""
        prompt = self.chat.encode_prompt(group.prompt)
        texts = [response.text for response in group.responses]
        return [Conversation(prompt, self.chat.encode_response(group.prompt, t)) for t in texts]


class RenderedFormat:
    """Encodes for any other reward model."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer = tokenizer
        self._tail = text_after_response(tokenizer)
        self._controls = control_tokens(tokenizer)
        self._adds_bos = adds_bos(tokenizer)
        if not tokenizer.is_fast:
            raise UserError(
                f"the tokenizer of {tokenizer.name_or_path} does not tell which characters a token "
                "stands for; add a tokenizer.json to its folder"
            )

    def encode(self, group: PromptGroup) -> list[Conversation]:
        """Return a conversation for each response."""
        refuse_controls(self._controls, group.prompt, "the prompt")
        return [self._encode(group.prompt, response.text) for response in group.responses]

    def _encode(self, prompt: str, text: str) -> Conversation:
        refuse_controls(self._controls, text, "the response")
        whole = render(self.tokenizer, prompt, text)
        start, shift = self._place(whole, text)
        encoded = self.tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
        ids, ends = encoded.input_ids, [end for _, end in encoded.offset_mapping]
        # The token over the border, where there is one, is the response's.
        first = next(k for k, end in enumerate(ends) if end > start)
        bos = self.tokenizer.bos_token_id
        # Templates that spell the BOS out must not get a second one, others need the first.
        before = [bos] if self._adds_bos and ids[0] != bos else []
        ends = [min(shift + end - start, len(text)) for end in ends[first:]]
        ends[-1] = len(text)
        return Conversation(before + ids[:first], EncodedResponse(ids[first:], ends))

    def _place(self, whole: str, text: str) -> tuple[int, int]:
        """Return where the response begins in the rendering, and how much of it was stripped."""
        before = whole.removesuffix(self._tail)
        for content in (text, text.strip()):
            if before.endswith(content):
                return len(before) - len(content), text.index(content)
        raise UserError(
            f"the chat template of {self.tokenizer.name_or_path} rewrites the response, so its "
            "tokens cannot be told; such templates are not supported"
        )


def fit(conversation: Conversation, max_length: int, truncate: bool) -> Conversation:
    """Return the conversation within ``max_length`` tokens; ``truncate`` cuts its end off.

    Raises:
        UserError: it is longer and shall not be cut, or nothing of the response would be left.
    """
    if conversation.tokens <= max_length:
        return conversation
    left = max_length - len(conversation.prompt)
    if not truncate:
        raise UserError(
            f"prompt and response have {conversation.tokens:,} tokens, but the model takes "
            f"{max_length:,}; shorten them, or let the end be cut off (--truncate)"
        )
    if left < 1:
        raise UserError(
            f"the prompt alone has {len(conversation.prompt):,} tokens and fills the {max_length:,}"
            " that the model takes; shorten it"
        )
    response = conversation.response
    cut = EncodedResponse(response.ids[:left], response.ends[:left])
    return replace(conversation, response=cut, truncated=True)
