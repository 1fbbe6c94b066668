"""Rows of a user's file that say the same twice or the opposite, and pairs of one prompt.

What is said twice is kept once; what is said both ways teaches nothing and is left out. Pairs of
one prompt become one group, since every group counts as a problem of its own: as several groups
they would make the intervals too narrow. Of everything there is a note.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from steps.groups.order import compare
from steps.groups.schema import PromptGroup

Rows = dict[int, PromptGroup]  # by the number of the row in its file


def clean_rows(rows: Rows, path: Path) -> tuple[list[PromptGroup], list[str]]:
    """Return the groups that a file's rows give, and sentences on what was left out or joined."""
    notes: list[str] = []
    for clean in (_drop_repeats, _drop_opposite_pairs, _drop_opposite_labels):
        rows = clean(rows, notes)
    groups = _join_pairs(list(rows.values()), notes)
    prompts = Counter(group.prompt for group in groups)
    several = sum(count > 1 for count in prompts.values())
    if several:
        notes.append(
            f"{several:,} prompts have several rows with 'responses', or several categories, and "
            "each counts as a problem of its own; write the responses of a prompt in one row"
        )
    return groups, [f"{path}: {note}" for note in notes]


def is_pair(group: PromptGroup) -> bool:
    """Whether a row is a pair, its chosen response first."""
    if len(group.responses) != 2 or group.responses[0].pair is None:
        return False
    return compare(*group.responses) > 0


def _drop_repeats(rows: Rows, notes: list[str]) -> Rows:
    first: dict[PromptGroup, int] = {}
    repeated = {
        number: earlier
        for number, group in rows.items()
        if (earlier := first.setdefault(replace(group, group_id=""), number)) != number
    }
    if repeated:
        number, earlier = next(iter(repeated.items()))
        notes.append(
            f"{len(repeated):,} rows repeat an earlier one and are left out (the first: row "
            f"{number} repeats row {earlier})"
        )
    return {number: group for number, group in rows.items() if number not in repeated}


def _drop_opposite_pairs(rows: Rows, notes: list[str]) -> Rows:
    pairs = {
        number: (group.prompt, *(response.text for response in group.responses))
        for number, group in rows.items()
        if is_pair(group)
    }
    row_of = {pair: number for number, pair in pairs.items()}
    opposite = {
        number: row_of[prompt, rejected, chosen]
        for number, (prompt, chosen, rejected) in pairs.items()
        if (prompt, rejected, chosen) in row_of
    }
    if opposite:
        number, other = next(iter(opposite.items()))
        notes.append(
            f"{len(opposite):,} pairs are contradicted by a pair the other way round and are left "
            f"out, both (the first: rows {number} and {other})"
        )
    return {number: group for number, group in rows.items() if number not in opposite}


def _drop_opposite_labels(rows: Rows, notes: list[str]) -> Rows:
    row_of: dict[tuple[str, str, bool], int] = {}
    for number, group in rows.items():
        for response in group.responses:
            if response.correct is not None:
                row_of.setdefault((group.prompt, response.text, response.correct), number)
    both = {
        (prompt, text): sorted((number, row_of[prompt, text, False]))
        for (prompt, text, correct), number in row_of.items()
        if correct and (prompt, text, False) in row_of
    }
    if not both:
        return rows
    first, second = min(both.values())
    notes.append(
        f"{len(both):,} responses are labelled right and, for the same prompt, wrong as well, and "
        f"are left out (the first: rows {first} and {second})"
    )
    kept = {}
    for number, group in rows.items():
        clear = tuple(r for r in group.responses if (group.prompt, r.text) not in both)
        if clear:
            kept[number] = replace(group, responses=clear)
    return kept


def _join_pairs(groups: list[PromptGroup], notes: list[str]) -> list[PromptGroup]:
    """Put the pairs of one prompt into the group of the first of them, each still a pair."""
    joined: dict[tuple, PromptGroup] = {}
    more = 0
    for group in groups:
        # Accuracies are told apart by category; rows with 'responses' stand for themselves.
        about = (group.prompt, group.category, group.source, group.answer)
        key = about if is_pair(group) else (group.group_id,)
        if key not in joined:
            joined[key] = group
            continue
        more += 1
        before = joined[key].responses
        place = len(before) // 2
        pair = tuple(replace(response, pair=place) for response in group.responses)
        joined[key] = replace(joined[key], responses=before + pair)
    if more:
        notes.append(
            f"{more:,} pairs have the prompt of an earlier one; the pairs of a prompt form one "
            "group, which counts as one problem"
        )
    return list(joined.values())
