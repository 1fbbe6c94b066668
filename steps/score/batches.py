"""Conversations in batches, and their final hidden states in either layout."""

from collections.abc import Iterable, Iterator
from itertools import groupby

import numpy as np
from transformers import PreTrainedModel

from steps.cache.tokens import CachedGroup, TokenStore
from steps.layouts import States, compute_states
from steps.packing import span_of
from steps.score.conversation import Conversation


def cut_batches(
    conversations: Iterable[Conversation], tokens_per_batch: int, layout: str
) -> Iterator[list[Conversation]]:
    """Cut conversations, in order, into batches of at most ``tokens_per_batch`` tokens.

    A conversation that is larger is a batch by itself. In the padded layout every row is as long as
    the longest. In the packed one a prompt counts once for all responses that follow one another,
    and these are kept together where a batch can hold them: cut apart, each part would compute the
    prompt again.
    """
    cut = _packed_batches if layout == "packed" else _padded_batches
    return cut(conversations, tokens_per_batch)


def _packed_batches(
    conversations: Iterable[Conversation], tokens_per_batch: int
) -> Iterator[list[Conversation]]:
    earlier: list[Conversation] = []  # the batch but for the last prompt's responses
    last: list[Conversation] = []
    earlier_size = last_size = 0
    for each in conversations:
        if not last or last[-1].prompt != each.prompt:
            earlier, earlier_size = earlier + last, earlier_size + last_size
            last, last_size = [], len(each.prompt)
        size = last_size + len(each.response.ids)
        if earlier and earlier_size + size > tokens_per_batch:
            yield earlier
            earlier, earlier_size = [], 0
        if last and size > tokens_per_batch:
            yield last
            last, size = [], each.tokens
        last.append(each)
        last_size = size
    if last:
        yield earlier + last


def _padded_batches(
    conversations: Iterable[Conversation], tokens_per_batch: int
) -> Iterator[list[Conversation]]:
    batch: list[Conversation] = []
    longest = 0
    for each in conversations:
        longest = max(longest, each.tokens)
        if batch and longest * (len(batch) + 1) > tokens_per_batch:
            yield batch
            batch, longest = [], each.tokens
        batch.append(each)
    if batch:
        yield batch


def hidden_states(model: PreTrainedModel, batch: list[Conversation], layout: str) -> States:
    """Return the final hidden states of a batch in the ``packed`` or ``padded`` layout."""
    return compute_states(model, *_store(batch), layout, None)


def _store(batch: list[Conversation]) -> tuple[TokenStore, list[CachedGroup]]:
    """Return the batch's tokens; responses to one prompt that follow one another share it."""
    store, groups, tokens = TokenStore(), [], []
    for prompt, conversations in groupby(batch, key=lambda each: each.prompt):
        responses = [each.response for each in conversations]
        span = span_of(len(prompt), [len(r.ids) for r in responses], len(tokens))
        groups.append(CachedGroup("", span))
        tokens += prompt + [i for r in responses for i in r.ids]
    store.tokens = np.array(tokens, np.int32)
    return store, groups
