"""Which conversations are computed together."""

from itertools import count

import pytest

from steps.chat import EncodedResponse
from steps.score.batches import cut_batches
from steps.score.conversation import Conversation


def conversations(*groups: tuple[int, list[int]]) -> list[Conversation]:
    """Groups given by the tokens of their prompt and of each response."""
    return [
        Conversation([number] * prompt, EncodedResponse([0] * size, list(range(size))))
        for number, (prompt, responses) in enumerate(groups)
        for size in responses
    ]


def sizes(groups, budget: int, layout: str) -> list[list[int]]:
    batches = cut_batches(iter(conversations(*groups)), budget, layout)
    return [[len(each.response.ids) for each in batch] for batch in batches]


def test_a_group_that_fits_is_not_cut() -> None:
    groups = [(10, [5, 5]), (10, [5, 5, 5]), (10, [5])]
    assert sizes(groups, 40, "packed") == [[5, 5], [5, 5, 5, 5]]
    assert sizes(groups, 45, "packed") == [[5, 5, 5, 5, 5], [5]]


def test_a_group_that_is_too_large_is_cut_and_begins_a_batch() -> None:
    groups = [(2, [3]), (10, [5, 6, 5, 5]), (2, [3])]
    assert sizes(groups, 22, "packed") == [[3], [5, 6], [5, 5], [3]]
    assert sizes(groups, 1, "packed") == [[3], [5], [6], [5], [5], [3]]


def test_padded_rows_are_as_long_as_the_longest() -> None:
    groups = [(2, [3]), (2, [8, 3])]
    assert sizes(groups, 20, "padded") == [[3, 8], [3]]
    assert sizes(groups, 30, "padded") == [[3, 8, 3]]


def test_no_more_is_read_than_a_batch_holds() -> None:
    endless = (each for _ in count() for each in conversations((2, [3])))
    assert len(next(cut_batches(endless, 20, "packed"))) == 6


@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_nothing_gives_no_batch(layout: str) -> None:
    assert list(cut_batches([], 10, layout)) == []
