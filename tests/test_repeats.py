"""Rows of a user's file that repeat or contradict each other, and several pairs of one prompt."""

import json
from pathlib import Path

import pytest

from steps.errors import UserError
from steps.groups.files import read_file
from steps.groups.schema import PromptGroup
from steps.pairs.make import make_pairs


def pair(chosen: str, rejected: str, prompt: str = "1 + 1?", **more) -> dict:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected} | more


def row(prompt: str = "1 + 1?", **labels: bool) -> dict:
    responses = [{"text": text, "correct": label} for text, label in labels.items()]
    return {"prompt": prompt, "responses": responses}


@pytest.fixture
def read(tmp_path: Path):
    """Read rows as a file; return its groups and the notes without the file's name."""

    def read(*rows: dict) -> tuple[list[PromptGroup], list[str]]:
        path = tmp_path / "mine.jsonl"
        path.write_text("".join(json.dumps(each) + "\n" for each in rows))
        notes: list[str] = []
        groups = read_file(path, notes)
        assert all(note.startswith(f"{path}: ") for note in notes)
        return groups, [note.removeprefix(f"{path}: ") for note in notes]

    return read


def as_pairs(groups: list[PromptGroup]) -> list[tuple[str, str, str, float]]:
    """Return (group, chosen text, rejected text, margin) of every pair that is trained on."""
    of = {group.group_id: group.responses for group in groups}
    return [
        (p.group_id, of[p.group_id][p.chosen].text, of[p.group_id][p.rejected].text, p.margin)
        for p in make_pairs(groups)[0].itertuples()
    ]


def test_the_pairs_of_a_prompt_are_one_problem_and_no_others_are_made(read) -> None:
    groups, notes = read(
        pair("2", "3", id="a"),
        pair("x", "y", prompt="other", id="b"),
        pair("2", "4", id="c", margin=3),
        pair("two", "3", id="d"),
    )
    assert as_pairs(groups) == [
        ("a", "2", "3", 1.0),
        ("a", "2", "4", 3.0),
        ("a", "two", "3", 1.0),
        ("b", "x", "y", 1.0),
    ]
    assert notes == [
        "2 pairs have the prompt of an earlier one; the pairs of a prompt form one group, which "
        "counts as one problem"
    ]


def test_other_categories_of_a_prompt_are_problems_of_their_own(read) -> None:
    groups, notes = read(pair("2", "3", category="a"), pair("2", "4", category="b"))
    assert [group.category for group in groups] == ["a", "b"]
    assert notes[0].startswith("1 prompts have several rows with 'responses', or several categ")


def test_a_repeated_row_counts_once(read) -> None:
    groups, notes = read(pair("2", "3"), row("x", a=True, b=False), pair("2", "3"), pair("2", "3"))
    assert [len(group.responses) for group in groups] == [2, 2]
    assert notes == [
        "2 rows repeat an earlier one and are left out (the first: row 3 repeats row 1)"
    ]


def test_a_pair_that_is_there_both_ways_round_is_left_out(read) -> None:
    groups, notes = read(pair("2", "3"), pair("2", "4"), pair("3", "2", margin=2))
    assert as_pairs(groups) == [("mine.jsonl/2", "2", "4", 1.0)]
    assert notes[0] == (
        "2 pairs are contradicted by a pair the other way round and are left out, both (the first: "
        "rows 1 and 3)"
    )


def test_a_response_that_is_called_right_and_wrong_is_left_out(read) -> None:
    groups, notes = read(row(a=True, b=False), row("x", a=False), row(a=False), row(c=True))
    texts = [[response.text for response in group.responses] for group in groups]
    assert texts == [["b"], ["a"], ["c"]]
    assert notes[0] == (
        "1 responses are labelled right and, for the same prompt, wrong as well, and are left out "
        "(the first: rows 1 and 3)"
    )


def test_a_file_of_contradictions_alone_is_refused(read) -> None:
    with pytest.raises(UserError, match=r"mine.jsonl: 2 pairs are contradicted .*nothing is left"):
        read(pair("2", "3"), pair("3", "2"))
