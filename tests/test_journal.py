"""Of a journal only what is as it was written counts."""

from pathlib import Path

import pytest

from steps.journal import append_value, read_values

VALUES = [{"bytes": 12}, [[1, 2], "stop"], "ü"]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    for value in VALUES:
        append_value(tmp_path / "journal.jsonl", value)
    return tmp_path / "journal.jsonl"


def test_values_survive_the_file(journal: Path, tmp_path: Path) -> None:
    assert read_values(journal) == VALUES
    assert read_values(tmp_path / "none.jsonl") == []


def test_a_line_that_a_kill_has_cut_does_not_count(journal: Path, capsys) -> None:
    whole = journal.read_bytes()
    for cut in range(whole.index(b"\n") + 1, len(whole)):
        journal.write_bytes(whole[:cut])
        found = read_values(journal)
        # A value is there as soon as its hash can be right, with or without the end of the line.
        assert found == VALUES[: len(found)] and len(found) >= whole[:cut].count(b"\n")
    assert not capsys.readouterr().out


def test_no_flipped_bit_changes_a_value(journal: Path, capsys) -> None:
    whole = journal.read_bytes()
    second = whole.index(b"\n") + 1
    for place in range(second, whole.index(b"\n", second)):
        for bit in range(8):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            journal.write_bytes(changed)
            assert read_values(journal) == VALUES[:1]
            assert "journal.jsonl: line 2 has changed since" in capsys.readouterr().out
