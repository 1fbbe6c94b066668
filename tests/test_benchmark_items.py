"""The table of per-item results: what is refused on write and on read, and the score command."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steps.benchmarks.__main__ import main
from steps.benchmarks.items import ITEMS, left_out_items, make_items, read_items, write_items
from steps.benchmarks.left_out import LeftOut, write_whole_groups
from steps.benchmarks.registry import BENCHMARKS
from steps.benchmarks.scores import COLUMNS, score_table
from steps.config.schema import Evaluation
from steps.errors import UserError
from steps.groups.schema import PromptGroup, Response
from tests.benchmark_items import leave_out, make_table, random_rows, random_ties
from tests.conftest import ROOT
from tests.reference_models import write_rewards

BENCHMARK = BENCHMARKS["rewardbench"]
QUICK = Evaluation(bootstrap_samples=200)


def items() -> pd.DataFrame:
    rows = [(f"hep-go/{k}", "hep-go", 1, [1.0 + k % 2, 1.5]) for k in range(4)]
    return make_table(BENCHMARK, rows)


def test_items_of_scored_groups_come_back_as_they_were(tmp_path: Path) -> None:
    responses = (Response("right", correct=True), Response("wrong", correct=False))
    groups = [PromptGroup("math-prm/3", "rewardbench", "math-prm", "1+1?", responses)]
    made = make_items(BENCHMARK, groups, [[0.25, -1.0]], [[2, 3]], [True])
    write_items(tmp_path / "items.parquet", made, BENCHMARK)
    (row,) = read_items(tmp_path / "items.parquet", BENCHMARK).to_dict("records")
    assert (row["id"], row["section"], row["n_correct"]) == ("math-prm/3", "Reasoning", 1)
    assert list(row["rewards"]) == [0.25, -1.0] and list(row["n_tokens"]) == [2, 3]
    assert row["truncated"] is True


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("id", "hep-go/0", "this id occurs twice"),
        ("rewards", [float("nan"), 1.0], "reward 0 is not a finite number"),
        ("rewards", [1.0, float("inf")], "reward 1 is not a finite number"),
        ("rewards", [1.0, None], "reward 1 is not a finite number"),
        ("rewards", [1.0], "1 rewards but 2 token counts"),
        ("n_tokens", [0, 4], "a count below 1"),
        ("n_correct", 2, "n_correct is 2 of 2 responses"),
        ("n_correct", 0, "n_correct is 0 of 2 responses"),
        ("subset", "hep-goo", "'hep-goo' is no subset of RewardBench; did you mean 'hep-go'"),
        ("section", "Chat", "the section is 'Chat', but 'hep-go' belongs to 'Reasoning'"),
        ("truncated", None, "'truncated' is empty"),
        ("left_out", "too long", "a row that is left out has a reason and no reward"),
    ],
)
def test_a_bad_row_is_refused_on_write_and_on_read(
    tmp_path: Path, column: str, value, words: str
) -> None:
    rows = items().to_dict("records")
    rows[2][column] = value
    with pytest.raises(UserError, match="row 2") as on_write:
        write_items(tmp_path / "out.parquet", pd.DataFrame(rows), BENCHMARK)
    assert words in str(on_write.value) and not list(tmp_path.iterdir())
    pq.write_table(pa.Table.from_pylist(rows, schema=ITEMS), tmp_path / "in.parquet")
    with pytest.raises(UserError, match="row 2") as on_read:
        read_items(tmp_path / "in.parquet", BENCHMARK)
    assert words in str(on_read.value)


def test_a_row_that_is_left_out_comes_back_and_counts_in_no_number(tmp_path: Path) -> None:
    left_out = left_out_items(BENCHMARK, [LeftOut("hep-go/9", "hep-go", "empty; remove it")])
    table = pd.concat([items(), left_out], ignore_index=True)
    path = tmp_path / "items.parquet"
    write_items(path, table, BENCHMARK)
    read = read_items(path, BENCHMARK)
    assert read["left_out"].isna().tolist() == [True] * 4 + [False]
    assert read.iloc[-1][["id", "left_out"]].tolist() == ["hep-go/9", "empty; remove it"]
    wanted = score_table(items(), BENCHMARK, QUICK).set_index("number")
    found = score_table(read, BENCHMARK, QUICK).set_index("number")
    bounds = ["value", "ci_low", "ci_high", "n"]
    assert found.loc["hep-go", bounds].tolist() == wanted.loc["hep-go", bounds].tolist()
    assert found.loc["hep-go", "left_out"] == 1
    assert (
        "4 of 5 items of 'hep-go' count (1 left out, the first: 'hep-go/9', empty)"
        in (found.loc["hep-go", "note"])
    )
    alone = score_table(left_out, BENCHMARK, QUICK).set_index("number")
    assert alone["value"].isna().all() and alone["n"].eq(0).all()
    assert alone.loc["hep-go", "note"].startswith("refused: no item of 'hep-go' (1 left out, the")


def test_a_third_response_in_a_pair_is_refused(tmp_path: Path) -> None:
    rows = make_table(BENCHMARK, [("hep-go/0", "hep-go", 1, [1.0, 2.0, 3.0])])
    with pytest.raises(UserError, match="has 3 responses instead of 2"):
        write_items(tmp_path / "items.parquet", rows, BENCHMARK)


def test_a_file_without_a_column_a_cut_file_and_an_empty_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    write_items(path, items(), BENCHMARK)
    whole = path.read_bytes()
    pq.write_table(pq.read_table(path).drop(["n_tokens"]), path)
    with pytest.raises(UserError, match="the column 'n_tokens' is missing"):
        read_items(path, BENCHMARK)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not a whole parquet file"):
        read_items(path, BENCHMARK)
    pq.write_table(ITEMS.empty_table(), path)
    with pytest.raises(UserError, match="has no row"):
        read_items(path, BENCHMARK)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_no_score_depends_on_the_order_of_the_rows(name: str) -> None:
    benchmark, rng = BENCHMARKS[name], np.random.default_rng(3)
    rows = random_rows(benchmark, rng, 12)
    if name == "rewardbench2":
        rows += random_ties(rng, 12, 1)
    table = leave_out(leave_out(make_table(benchmark, rows), 3, "too long"), 5, "empty")
    shuffled = table.sample(frac=1, random_state=1)
    expected = score_table(table, benchmark, QUICK)
    pd.testing.assert_frame_equal(score_table(shuffled, benchmark, QUICK), expected)
    # Every number is within its interval, and the interval is one.
    assert (expected["ci_low"] <= expected["value"]).all()
    assert (expected["value"] <= expected["ci_high"]).all()
    assert (expected["ci_low"] < expected["ci_high"]).iloc[-1]


def test_the_interval_of_a_share_is_about_the_binomial_one() -> None:
    rows = [(f"hep-go/{k}", "hep-go", 1, [float(k < 41), 0.5]) for k in range(164)]
    settings = Evaluation(bootstrap_samples=4_000)
    table = score_table(make_table(BENCHMARK, rows), BENCHMARK, settings).set_index("number")
    value, low, high = table.loc["hep-go", ["value", "ci_low", "ci_high"]]
    width = 1.96 * (0.25 * 0.75 / 164) ** 0.5
    assert value == 0.25
    assert [low, high] == pytest.approx([0.25 - width, 0.25 + width], abs=0.01)


def score(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *more: str) -> None:
    arguments = ["score", "--items", str(tmp_path / "items.parquet"), *more]
    arguments += ["--output", str(tmp_path / "scores.csv"), "--card", str(tmp_path / "card.json")]
    experiment = str(ROOT / "config/tiny.yaml")
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments, "--experiment", experiment])
    main()


def test_the_command_writes_scores_and_a_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    benchmark, rng = BENCHMARKS["rewardbench2"], np.random.default_rng(4)
    table = make_table(benchmark, random_rows(benchmark, rng, 5) + random_ties(rng, 5, 2))
    write_items(tmp_path / "items.parquet", table, benchmark)
    score(monkeypatch, tmp_path, "--benchmark", "rewardbench2", "--ties-rule", "0.1.4")
    written = pd.read_csv(tmp_path / "scores.csv")
    assert written.columns.tolist() == COLUMNS and written["number"].iloc[-1] == "Score"
    said = capsys.readouterr().out
    assert re.search(r"Factuality: 0\.\d+ \[.*\], n = 5; marked: 'Factuality' has 5 i", said)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["settings"]["ties_rule"] == "0.1.4"
    assert list(card["outputs"]) == [str(tmp_path / "scores.csv")]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--benchmark", "rmbench"], "'hep-go' is no subset of RM-Bench"),
        (["--benchmark", "rewardbench", "--ties-rule", "present"], "has no subset Ties"),
    ],
)
def test_the_command_refuses_what_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], words: str
) -> None:
    write_items(tmp_path / "items.parquet", items(), BENCHMARK)
    with pytest.raises(UserError, match=words):
        score(monkeypatch, tmp_path, *more)
    assert {path.name for path in tmp_path.iterdir()} == {"items.parquet"}


def join(monkeypatch: pytest.MonkeyPatch, folder: Path, benchmark: str = "rewardbench") -> None:
    """Run the command `items` on the files of a folder."""
    files = {"groups": "groups.parquet", "scores": "scores.parquet", "output": "items.parquet"}
    arguments = [f"--{name}={folder / file}" for name, file in files.items()]
    arguments += ["--benchmark", benchmark, "--card", str(folder / "card.json")]
    monkeypatch.setattr(sys, "argv", ["benchmarks", "items", *arguments])
    main()


@pytest.fixture
def scored(tmp_path: Path) -> list[PromptGroup]:
    """Groups, one of which has no scores, and a row that is not among them."""
    responses = (Response("right", correct=True), Response("wrong", correct=False))
    groups = [
        PromptGroup(f"hep-go/{k}", "rewardbench", "hep-go", f"{k}?", responses) for k in range(4)
    ]
    empty = LeftOut("hep-go/4", "hep-go", "response 0 is empty")
    write_whole_groups(tmp_path / "groups.parquet", groups, [empty])
    write_rewards(tmp_path / "scores.parquet", groups, left_out={"hep-go/2": "too long; cut it"})
    return groups


def test_the_items_of_one_model_need_no_experiment(
    tmp_path: Path, scored, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    join(monkeypatch, tmp_path)
    found = read_items(tmp_path / "items.parquet", BENCHMARK).set_index("id")
    assert found["rewards"].map(list).to_dict() == {
        **{f"hep-go/{k}": [1.0, 0.0] for k in (0, 1, 3)},
        **{"hep-go/2": [], "hep-go/4": []},
    }
    assert found["left_out"].dropna().to_dict() == {
        "hep-go/2": "too long; cut it",
        "hep-go/4": "response 0 is empty",
    }
    said = capsys.readouterr().out
    assert "hep-go: 1.000 [1.000, 1.000], n = 3 of 5; marked: " in said
    assert "Score: refused: no item of 'alpacaeval-easy'" in said
    card = json.loads((tmp_path / "card.json").read_text())
    assert [Path(path).name for path in card["inputs"]] == ["groups.parquet", "scores.parquet"]


def test_scores_and_groups_that_do_not_belong_together_are_refused(
    tmp_path: Path, scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"'hep-go/0' is no row of RM-Bench; give the output of"):
        join(monkeypatch, tmp_path, "rmbench")
    write_rewards(tmp_path / "scores.parquet", scored[:3])
    with pytest.raises(UserError, match="response 0 of group 'hep-go/3' has no score"):
        join(monkeypatch, tmp_path)
    assert not (tmp_path / "items.parquet").exists()


def test_the_package_is_importable_without_torch() -> None:
    code = "import sys, steps.benchmarks.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
