"""Files of a benchmark's rows: one's own, and those rebuilt from their sources."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from steps.benchmarks.rebuild import main, rebuild, write_rows
from steps.benchmarks.registry import BENCHMARKS
from steps.benchmarks.rewardbench_subsets import REBUILT
from steps.benchmarks.rows import local_groups
from steps.errors import UserError
from tests.benchmark_sources import pair, write_source
from tests.conftest import ROOT
from tests.reference_data import reference_data

REWARDBENCH = BENCHMARKS["rewardbench"]


def write_lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_file_may_hold_some_subsets(tmp_path: Path) -> None:
    rows = [pair("hep-go", 0), pair("hep-go", 1), pair("math-prm", 0, chosen_model="human")]
    groups, _ = local_groups(REWARDBENCH, write_lines(tmp_path / "rows.jsonl", rows))
    assert [g.group_id for g in groups] == ["hep-go/0", "hep-go/1", "math-prm/0"]
    assert [r.correct for r in groups[0].responses] == [True, False]
    assert [r.model for r in groups[2].responses] == ["human", None]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (pair("hep-goo", 0), r"'hep-goo' is no subset of RewardBench \(did you mean 'hep-go'"),
        ({"id": 1, "subset": "hep-go", "prompt": "p", "chosen": "c"}, "row 2: the key 'rejected'"),
        (pair("hep-go", 1, chosen=["c"]), "row 2: 'chosen' is not a text"),
        (pair("hep-go", 0), "'hep-go/0'.*occurs twice"),
        (["hep-go"], "row 2 must have keys and values"),
    ],
)
def test_a_bad_row_is_one_sentence(tmp_path: Path, row, words: str) -> None:
    path = write_lines(tmp_path / "rows.jsonl", [pair("hep-go", 0), row])
    with pytest.raises(UserError, match=words) as error:
        local_groups(REWARDBENCH, path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_the_example_holds_one_whole_section() -> None:
    groups, _ = local_groups(REWARDBENCH, ROOT / "examples/benchmark.jsonl")
    found = Counter(group.category for group in groups)
    section = [n for n, s in REWARDBENCH.subsets.items() if s.section == "Chat Hard"]
    assert found == dict.fromkeys(section, 3)


def test_rows_are_rebuilt_marked_and_written_alike(tmp_path: Path, monkeypatch, capsys) -> None:
    one = write_source(tmp_path / "a", [pair("llmbar-natural", 7, meta={}), pair("case-normal", 8)])
    rows = [pair("hep-go", 7), pair("llmbar-natural", 3), pair("hep-go", 1)]
    two = write_source(tmp_path / "b", rows)
    output, card = tmp_path / "rows.jsonl.gz", tmp_path / "card.json"
    arguments = ["--folders", one, two, "--subsets", "llmbar-natural", "hep-go"]
    arguments += ["--output", output, "--card", card]
    monkeypatch.setattr(sys, "argv", ["rebuild", *map(str, arguments)])
    main()
    groups, _ = local_groups(REWARDBENCH, output)
    # Ids are places in a subset; other subsets of a source are passed over.
    assert [(g.group_id, g.prompt) for g in groups] == [
        ("llmbar-natural/0", "llmbar-natural 7"),
        ("hep-go/0", "hep-go 7"),
        ("llmbar-natural/1", "llmbar-natural 3"),
        ("hep-go/1", "hep-go 1"),
    ]
    said = capsys.readouterr().out
    assert "marked: 'llmbar-natural' has 2 rows instead of 100" in said
    assert len(json.loads(card.read_text())["marks"]) == 2
    again = tmp_path / "again.jsonl.gz"
    write_rows(again, rebuild([one, two], ["llmbar-natural", "hep-go"]))
    assert again.read_bytes() == output.read_bytes()
    with pytest.raises(UserError, match=r"no row of 'hep-cpp' is in .*; give its folder too"):
        rebuild([one, two], ["hep-go", "hep-cpp"])
    with pytest.raises(UserError, match=r"c/pairs\.jsonl\.gz is not there; put or link there"):
        rebuild([one, tmp_path / "c"], ["hep-go"])
    monkeypatch.setattr(sys, "argv", ["rebuild", *map(str, arguments), "--output", "rows.jsonl"])
    with pytest.raises(UserError, match=r"rows\.jsonl does not end with \.jsonl\.gz, which is"):
        main()


def test_a_pair_counts_once(tmp_path: Path) -> None:
    one = write_source(tmp_path / "one", [pair("hep-go", 0), pair("hep-go", 1)])
    (tmp_path / "link").symlink_to(one)
    with pytest.raises(UserError, match=r"link/pairs\.jsonl\.gz is given twice; name each folder"):
        rebuild([one, tmp_path / "link"], ["hep-go"])
    # The id of the source is not the row's: it is the same pair under another one.
    two = write_source(tmp_path / "two", [pair("hep-go", 2), pair("hep-go", 1, id=7)])
    with pytest.raises(UserError, match=r"two.*row 2 is the same pair as .*one.*row 2; remove one"):
        rebuild([one, two], ["hep-go"])
    many = write_source(tmp_path / "many", [pair("hep-go", k) for k in range(165)])
    with pytest.raises(UserError, match="'hep-go' has 165 rows, but only 164 are published"):
        rebuild([many], ["hep-go"])


@pytest.mark.parametrize(("subset", "published"), [("mt-bench-easy", 28), ("anthropic_hhh", 221)])
def test_a_file_with_more_rows_than_published_is_refused(
    tmp_path: Path, subset: str, published: int
) -> None:
    rows = [pair(subset, k) for k in range(published + 1)]
    path = write_lines(tmp_path / "rows.jsonl", rows)
    words = (
        rf"rows\.jsonl: .*'{subset}' has {published + 1} rows, but only {published} are published"
    )
    with pytest.raises(UserError, match=words):
        local_groups(REWARDBENCH, path)
    groups, _ = local_groups(REWARDBENCH, write_lines(path, rows[:-1]))
    assert len(groups) == published


def test_the_sources_have_the_published_numbers_of_rows() -> None:
    folders = [reference_data(name) for name in ("llmbar", "humanevalpack")]
    rows = rebuild(folders, list(REBUILT))
    assert Counter(row["subset"] for row in rows) == REBUILT
    assert len(REBUILT) == 11
