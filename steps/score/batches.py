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

    A conversation that is larger is a batch by itself. In the packed layout a prompt counts once
    for all responses that follow one another; in the padded one every row is as long as the
    longest.
    """
    batch: list[Conversation] = []
    size = longest = 0
    for conversation in conversations:
        if layout == "packed":
            shared = batch and batch[-1].prompt == conversation.prompt
            new_size = size + conversation.tokens - (len(conversation.prompt) if shared else 0)
        else:
            longest = max(longest, conversation.tokens)
            new_size = longest * (len(batch) + 1)
        if batch and new_size > tokens_per_batch:
            yield batch
            batch, longest, new_size = [], conversation.tokens, conversation.tokens
        batch.append(conversation)
        size = new_size
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
        groups.append(CachedGroup("", span, tuple(np.array(r.ends) for r in responses)))
        tokens += prompt + [i for r in responses for i in r.ids]
    store.tokens = np.array(tokens, np.int32)
    return store, groups
