"""Where text becomes tokens: chat template, BOS, response span and the token of the reward.

Training, cache, scoring and export all encode through `ChatFormat`, so the reward is read at one
and the same position everywhere: the token that ends the assistant's turn. Text that a template
puts after that token (a newline in several templates) is left out.
"""

import hashlib
import json
from dataclasses import dataclass

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from steps.errors import UserError

_PROBE = "probe-7f3a"
DATE = "26 Jul 2024"  # some templates print today's date where none is given


class ControlTokenError(UserError):
    """A text spells one of the tokenizer's control tokens, which would forge the turn structure."""


@dataclass(frozen=True)
class EncodedResponse:
    """Tokens of one response, after its prompt's tokens.

    Attributes:
        ids: token ids; the last one is the end-of-turn token, which carries the reward.
        ends: for each token, the number of characters of the response text up to its end.
    """

    ids: list[int]
    ends: list[int]


@dataclass(frozen=True)
class RenderedResponse:
    """What stands in the assistant's turn of the chat template.

    Attributes:
        content: some templates strip the text; positions refer to the text as it was given.
        shift: characters of the text before the content.
        characters: of the text.
    """

    content: str
    shift: int
    characters: int


class ChatFormat:
    """Encodes prompts and responses with a tokenizer's own chat template."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer = tokenizer
        self._tail = text_after_response(tokenizer)
        self._controls = control_tokens(tokenizer)
        ends = [t for t in self._controls if self._tail.startswith(t)]
        if not ends:
            raise UserError(
                f"the chat template of {tokenizer.name_or_path} does not close the assistant's "
                "turn with a special token, so there is no place for the reward"
            )
        self.end_of_turn = tokenizer.convert_tokens_to_ids(max(ends, key=len))
        self._adds_bos = adds_bos(tokenizer)

    def encode_prompt(self, prompt: str, system: str | None = None) -> list[int]:
        """Return the tokens up to and including the assistant's header, with one BOS at most."""
        return self.tokenize_prompts([self.render_prompt(prompt, system)])[0]

    def encode_response(self, prompt: str, text: str) -> EncodedResponse:
        """Return the tokens that follow `encode_prompt`, ending with the end-of-turn token."""
        return self.tokenize_responses([self.render_response(prompt, text)])[0]

    def render_prompt(self, prompt: str, system: str | None = None) -> str:
        """Return the text up to and including the assistant's header.

        Args:
            system: the system prompt; None leaves it to the template.
        Raises:
            ControlTokenError: the prompt or the system prompt spells a control token.
            UserError: the template has no place for a system prompt.
        """
        refuse_controls(self._controls, prompt, "the prompt")
        if system is None:
            return render(self.tokenizer, prompt)
        refuse_controls(self._controls, system, "the system prompt")
        rendered = render(self.tokenizer, prompt, system=system)
        if system.strip() not in rendered:
            raise UserError(
                f"the chat template of {self.tokenizer.name_or_path} leaves the system prompt out; "
                "take `system` out, or use `instruction`"
            )
        return rendered

    def render_response(self, prompt: str, text: str) -> RenderedResponse:
        """Return the text between the assistant's header and the end-of-turn token.

        Raises:
            ControlTokenError: the response spells a control token.
        """
        refuse_controls(self._controls, text, "the response")
        header, whole = render(self.tokenizer, prompt), render(self.tokenizer, prompt, text)
        if not whole.startswith(header) or not whole.endswith(self._tail):
            raise UserError(
                f"the chat template of {self.tokenizer.name_or_path} renders a finished answer "
                "differently from the prompt that asks for it; such templates are not supported"
            )
        content = whole[len(header) : len(whole) - len(self._tail)]
        return RenderedResponse(content, max(text.find(content), 0), len(text))

    def tokenize_prompts(self, rendered: list[str]) -> list[list[int]]:
        """Return the tokens of each of `render_prompt`; many at once use several threads."""
        if not rendered:
            return []
        rows = self.tokenizer(rendered, add_special_tokens=False).input_ids
        # Templates that spell the BOS out must not get a second one, others need the first.
        bos = self.tokenizer.bos_token_id
        return [[bos, *ids] if self._adds_bos and ids[0] != bos else ids for ids in rows]

    def tokenize_responses(self, rendered: list[RenderedResponse]) -> list[EncodedResponse]:
        """Return the tokens of each of `render_response`; many at once use several threads."""
        if not rendered:
            return []
        texts = [response.content for response in rendered]
        rows = self.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
        return [
            EncodedResponse(
                [*ids, self.end_of_turn],
                [*(response.shift + end for _, end in offsets), response.characters],
            )
            for response, ids, offsets in zip(
                rendered, rows.input_ids, rows.offset_mapping, strict=True
            )
        ]

    def fingerprint(self) -> str:
        """Return a hash that changes with the tokenizer and with the chat template.

        Templates print the named special tokens, and texts that spell any of them are refused.
        """
        tokenizer = self.tokenizer
        named = sorted(tokenizer.special_tokens_map.items())
        parts = [tokenizer.backend_tokenizer.to_str(), tokenizer.chat_template, named]
        content = json.dumps([*parts, tokenizer.all_special_tokens])
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def vocabulary(self) -> dict[str, int]:
        """Token ids by token."""
        return self.tokenizer.get_vocab()

    @property
    def control_ids(self) -> frozenset[int]:
        """Ids of all control tokens: whichever of them a model writes, its answer ends there."""
        added = self.tokenizer.added_tokens_decoder.items()
        special = {number for number, token in added if token.special}
        return frozenset(special | set(self.tokenizer.all_special_ids) | {self.end_of_turn})

    def decode_response(self, ids: list[int]) -> str:
        """Return the text of sampled tokens, without the control token that may end them."""
        whole = ids[:-1] if ids and ids[-1] in self.control_ids else ids
        return self.tokenizer.decode(whole, clean_up_tokenization_spaces=False)

    def spells_control(self, text: str) -> bool:
        """Whether a text spells a control token in letters, so that it cannot be encoded."""
        return any(token in text for token in self._controls)


def render(
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    response: str | None = None,
    system: str | None = None,
) -> str:
    """Return the conversation in the tokenizer's chat template.

    Args:
        response: None asks for one, with the assistant's header.
        system: the system prompt; None leaves it to the template.
    Raises:
        UserError: the template cannot be rendered, for instance has no place for a system prompt.
    """
    messages = [] if system is None else [{"role": "system", "content": system}]
    messages.append({"role": "user", "content": prompt})
    if response is not None:
        messages.append({"role": "assistant", "content": response})
    try:
        return tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=response is None,
            date_string=DATE,
        )
    except TemplateError as error:
        raise UserError(
            f"the chat template of {tokenizer.name_or_path} cannot be rendered: {error}"
        ) from None


def text_after_response(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return what the chat template puts after a response.

    Raises:
        UserError: there is no chat template.
    """
    if not tokenizer.chat_template:
        raise UserError(
            f"the tokenizer of {tokenizer.name_or_path} has no chat template; "
            "use an instruction-tuned backbone or add chat_template.jinja to its folder"
        )
    return render(tokenizer, "u", _PROBE).rpartition(_PROBE)[2]


def adds_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer itself puts a BOS before a text."""
    return (
        tokenizer.bos_token_id is not None and tokenizer("x").input_ids[0] == tokenizer.bos_token_id
    )


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return the tokens that make up the turn structure."""
    return [token for token in tokenizer.all_special_tokens if token]


def refuse_controls(controls: list[str], text: str, what: str) -> None:
    """Raise a `ControlTokenError` if ``text``, called ``what``, spells a control token."""
    for token in controls:
        if token in text:
            raise ControlTokenError(f"{what} spells the control token '{token}'; remove it")


def check_same_tokens(backbone: ChatFormat, generator: ChatFormat) -> None:
    """Check that a generator reads the backbone's token ids as the same text.

    Raises:
        UserError: a token of the backbone has another id there.
    """
    theirs = generator.vocabulary
    for token, number in backbone.vocabulary.items():
        if theirs.get(token) != number:
            raise UserError(
                f"the generator's tokenizer does not know the token {token!r} under the backbone's "
                f"id {number}, so its probabilities cannot be given to the backbone's tokens; use "
                "a generator of the same family"
            )
