"""Prompt groups as tokens, in flat arrays: a Python integer would take nine times the memory."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from steps.chat import ChatFormat, EncodedResponse
from steps.errors import UserError
from steps.groups.schema import PromptGroup
from steps.packing import GroupSpan, span_of

# Groups that are tokenised in one call, whose texts the tokenizer shares out among its threads; a
# single group's are too few for that.
GROUPS_AT_ONCE = 256


@dataclass(frozen=True)
class EncodedGroup:
    """A prompt group as tokens.

    Attributes:
        span: where the parts lie, counted from the group's own start.
        ids: int32 [T], tokens of the prompt and of one response after the other.
        ends: int32 [T], for each response token the characters of its text up to its end; 0 on the
            prompt.
    """

    group: PromptGroup
    span: GroupSpan
    ids: np.ndarray
    ends: np.ndarray


class EncodedGroups(Sequence[EncodedGroup]):
    """Prompt groups as tokens, one after the other.

    Attributes:
        groups: [G], their texts.
        ids: int32 [T], token ids.
        ends: int32 [T], see `EncodedGroup`.
        starts: int64 [G + 1], place of each group's first token.
    """

    def __init__(
        self, groups: list[PromptGroup], ids: np.ndarray, ends: np.ndarray, lengths: np.ndarray
    ):
        """Take the arrays as they are.

        Args:
            lengths: int64 [P], tokens of all parts: of each group its prompt and its responses.
        """
        self.groups, self.ids, self.ends, self._lengths = groups, ids, ends, lengths
        self._parts = np.cumsum([0, *(1 + len(group.responses) for group in groups)])
        self.starts = np.append(0, np.cumsum(lengths))[self._parts]

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, places):
        if isinstance(places, slice):
            return [self[place] for place in range(*places.indices(len(self)))]
        place = range(len(self))[places]
        own = slice(self.starts[place], self.starts[place + 1])
        span = self.span(place).shifted(-int(own.start))
        return EncodedGroup(self.groups[place], span, self.ids[own], self.ends[own])

    def span(self, place: int) -> GroupSpan:
        """Return where the parts of a group lie in the arrays."""
        lengths = self._lengths[self._parts[place] : self._parts[place + 1]].tolist()
        return span_of(lengths[0], lengths[1:], int(self.starts[place]))


def encode_groups(groups: list[PromptGroup], chat: ChatFormat) -> EncodedGroups:
    """Encode groups; a text that forges control tokens is an error naming its group."""
    ids, ends, lengths = array("i"), array("i"), array("q")
    for prompt, responses in _encoded(groups, chat):
        ids.extend(prompt)
        ends.extend([0] * len(prompt))
        lengths.append(len(prompt))
        for response in responses:
            ids.extend(response.ids)
            ends.extend(response.ends)
            lengths.append(len(response.ids))
    return EncodedGroups(groups, *map(np.asarray, (ids, ends, lengths)))


def _encoded(
    groups: list[PromptGroup], chat: ChatFormat
) -> Iterator[tuple[list[int], list[EncodedResponse]]]:
    for start in range(0, len(groups), GROUPS_AT_ONCE):
        part = groups[start : start + GROUPS_AT_ONCE]
        prompts, responses = [], []
        for group in part:
            try:
                prompts.append(chat.render_prompt(group.prompt))
                responses += [chat.render_response(group.prompt, r.text) for r in group.responses]
            except UserError as error:
                raise UserError(f"group '{group.group_id}': {error}") from None
        encoded = iter(chat.tokenize_responses(responses))
        for group, prompt in zip(part, chat.tokenize_prompts(prompts), strict=True):
            yield prompt, [next(encoded) for _ in group.responses]
