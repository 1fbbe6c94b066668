"""The table of faults counts those that were lost."""

from pathlib import Path

from tests.faults.ledger import SAME_BYTES, SENTENCE, Ledger


def table(folder: Path) -> list[str]:
    return (folder / "faults.md").read_text().splitlines()[2:]


def test_a_fault_is_lost_until_its_test_has_seen_the_end(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "test_kill")
    ledger.fired("kill", "steps.train")
    ledger.fired("kill", "steps.cache")
    assert table(tmp_path) == ["| kill | 2 | 0 | 0 | 2 |"]
    ledger.survived(SAME_BYTES)
    assert table(tmp_path) == ["| kill | 2 | 2 | 0 | 0 |"]


def test_a_later_run_of_some_tests_keeps_what_the_others_noted(tmp_path: Path) -> None:
    for test in ("test_cut", "test_kill"):
        ledger = Ledger(tmp_path, test)
        ledger.fired(test.removeprefix("test_"), "a file")
        ledger.survived(SENTENCE)
    Ledger(tmp_path, "test_kill").fired("kill", "a file")
    assert table(tmp_path) == ["| cut | 1 | 0 | 1 | 0 |", "| kill | 1 | 0 | 0 | 1 |"]
