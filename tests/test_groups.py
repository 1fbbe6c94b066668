"""Splits, leak report, toy data, the user's own files, and the `prepare` command."""

import gzip
import json
import random
import re
import string
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from steps.config.schema import ToyData
from steps.errors import UserError
from steps.groups.__main__ import main
from steps.groups.files import read_file
from steps.groups.leaks import compare_sets, leak_report, match_prompts, refuse_leaks
from steps.groups.order import mixed_labels_note
from steps.groups.schema import GROUPS, PromptGroup, Response, read_groups
from steps.groups.splits import Problem, assign_splits
from steps.groups.toy import toy_groups

ROOT = Path(__file__).resolve().parent.parent


def unlike(seed: str) -> str:
    """A text that is like no other: random letters."""
    draw = random.Random(seed)
    return "".join(draw.choice(string.ascii_lowercase) for _ in range(60))


def distinct_problems(category: str, count: int) -> list[Problem]:
    ids = [f"{category}/{k}" for k in range(count)]
    return [Problem(group_id, category, unlike(group_id)) for group_id in ids]


def test_categories_are_represented_and_held_out() -> None:
    problems = [p for c in ("Algebra", "Geometry", "Sequence") for p in distinct_problems(c, 15)]
    splits = assign_splits(problems, test_share=0.4, seed=0)
    by_split = Counter((splits.split_of[p.group_id], p.category) for p in problems)
    assert by_split == {
        ("train", "Algebra"): 9,
        ("in_distribution", "Algebra"): 6,
        ("train", "Geometry"): 9,
        ("in_distribution", "Geometry"): 6,
        ("out_of_distribution", "Sequence"): 15,
    }


def test_splits_depend_on_the_seed_alone() -> None:
    problems = distinct_problems("Algebra", 15)
    first = assign_splits(problems, 0.4, 0)
    assert assign_splits(problems, 0.4, 0) == first
    assert any(assign_splits(problems, 0.4, seed) != first for seed in range(1, 5))


@pytest.mark.parametrize("seed", range(6))
def test_near_duplicates_and_shared_hints_stay_together(seed: int) -> None:
    alike = [Problem(f"n{k}", "Algebra", f"Find {k}^105 + {k + 1}^99 mod {k}.") for k in (3, 14)]
    by_id = [Problem(f"i{k}", "Algebra", unlike(f"{k}"), {"H_1": "Try n=1."}) for k in (12, 13)]
    by_text = [
        Problem(
            f"t{k}", "Algebra", unlike(f"{k}"), {f"H_t{k}": "Add  the two EQUATIONS and factor."}
        )
        for k in (14, 15)
    ]
    short = [Problem(f"s{k}", "Algebra", unlike(f"{k}"), {f"H_s{k}": "Try n=2."}) for k in (16, 17)]
    problems = alike + by_id + by_text + short + distinct_problems("Algebra", 6)
    splits = assign_splits(problems, 0.5, seed)
    assert splits.clusters == [["i12", "i13"], ["n14", "n3"], ["t14", "t15"]]
    for pair in (alike, by_id, by_text):
        assert len({splits.split_of[p.group_id] for p in pair}) == 1


def test_a_near_duplicate_of_a_held_out_problem_is_dropped() -> None:
    problems = distinct_problems("Algebra", 4) + distinct_problems("Sequence", 2)
    problems += [Problem("a", "Algebra", "Sum the first 10 odd numbers.")]
    problems += [Problem("s", "Sequence", "Sum the first 99 odd numbers.")]
    splits = assign_splits(problems, 0.5, 0)
    assert splits.dropped == ["a"]
    assert "a" not in splits.split_of and splits.split_of["s"] == "out_of_distribution"


def test_a_category_of_one_cluster_trains() -> None:
    splits = assign_splits(distinct_problems("Algebra", 1), 0.9, 0)
    assert set(splits.split_of.values()) == {"train"}


def group(group_id: str, prompt: str, *texts: str) -> PromptGroup:
    responses = tuple(Response(text, score=float(k)) for k, text in enumerate(texts or ("a", "b")))
    return PromptGroup(group_id, "test", "all", prompt, responses)


def test_leak_report_of_clean_sets() -> None:
    sets = {
        "train": [group("t", "How tall is the tower?", "Shared text", "x")],
        "test": [group("e", "Name three rivers of France.", "shared  TEXT", "y")],
        "first_wrong_step": [group("f", "Name three rivers of France.")],
    }
    report = leak_report(sets)
    refuse_leaks(report, True, Path("leaks.json"))
    assert [c["sets"] for c in report["comparisons"]] == [
        ["train", "test"],
        ["train", "first_wrong_step"],
    ]
    first = report["comparisons"][0]
    assert first["near_duplicate_search"] == "by similarity"
    assert first["shared_responses"] == 1
    assert first["highest_similarity"]["groups"] == ["t", "e"]
    assert 0 < first["highest_similarity"]["similarity"] < 0.8
    json.dumps(report)


def test_pairs_beyond_those_that_are_shown_are_counted(monkeypatch) -> None:
    """Texts from a template are alike, each with each; one pair is equal and not near as well."""
    monkeypatch.setattr("steps.groups.leaks.MAX_CHARACTER_PAIRS", 0)
    ours = [group(f"t{k}", f"What is {k} + 1?") for k in range(40)]
    matches = match_prompts(ours, [group(f"e{k}", f"What is {k} + 1?") for k in range(39, 44)])
    assert matches.search == "equal but for numbers"
    assert (matches.equal.count, matches.equal.shown) == (1, [("t39", "e39")])
    assert matches.near.count == 40 * 5 - 1
    assert matches.near.shown == [(f"t{k}", f"e{j}") for k in range(4) for j in range(39, 44)]
    assert matches.near.groups == {each.group_id for each in ours}


@pytest.mark.parametrize("sets", [("train", "test"), ("test", "other")])
def test_an_equal_prompt_is_refused(sets: tuple[str, str]) -> None:
    data = {"train": [group("t", "Unrelated question?")]}
    data[sets[0]] = [group("a", "How TALL is  the tower?")]
    data[sets[1]] = [group("b", "how tall is the tower?")]
    message = r"^1 pair of groups .* have the same prompt: 'a' \(.*'b' \(.*; remove .*leaks\.json"
    with pytest.raises(UserError, match=message):
        refuse_leaks(leak_report(data), False, Path("leaks.json"))


def test_shared_prompts_are_counted_over_all_sets_and_the_first_are_named() -> None:
    data = {
        "train": [group(f"t{k}", unlike(f"{k}")) for k in range(4)],
        "one": [group(f"o{k}", unlike(f"{k}")) for k in range(2)],
        "two": [group(f"z{k}", unlike(f"{k}")) for k in (2, 3)],
    }
    with pytest.raises(UserError) as error:
        refuse_leaks(leak_report(data), False, Path("leaks.json"))
    assert str(error.value).startswith("4 pairs of groups in different sets have the same prompt: ")
    assert "'t0' (train) and 'o0' (one)" in str(error.value)
    assert "'t2' (train) and 'z2' (two), ...; remove" in str(error.value)


def test_a_near_duplicate_prompt_is_refused_or_reported() -> None:
    data = {
        "train": [group("a", "Find 3^105 mod 7.")],
        "test": [group("b", "Find 12^5 mod 11."), group("c", "Find 3^4 mod 5.")],
    }
    report = leak_report(data)
    with pytest.raises(UserError, match=r"^2 pairs of groups .* near-duplicate prompts: 'a' "):
        refuse_leaks(report, True, Path("leaks.json"))
    refuse_leaks(report, False, Path("leaks.json"))
    near = report["comparisons"][0]["near_duplicate_prompts"]
    assert near == {"count": 2, "groups": [["a", "b"], ["a", "c"]]}


def test_large_sets_are_compared_by_masked_equality(monkeypatch) -> None:
    monkeypatch.setattr("steps.groups.leaks.MAX_CHARACTER_PAIRS", 10)
    train = [group("a", "Find 3^105 mod 7.")]
    facts = compare_sets(train, [group("b", "Find 12^5 mod 11."), group("c", "Find 3^4 mod n.")])
    assert facts["near_duplicate_prompts"]["groups"] == [["a", "b"]]
    assert facts["highest_similarity"] is None
    assert facts["near_duplicate_search"] == "equal but for numbers"


@pytest.mark.parametrize(("problems", "responses"), [(6, 2), (36, 8), (120, 16)])
def test_toy_groups_have_a_signal_and_no_shortcut(problems: int, responses: int) -> None:
    groups, split_of = toy_groups(ToyData(source="toy", problems=problems, responses=responses))
    assert len({g.prompt for g in groups}) == problems
    assert set(split_of.values()) == {"train", "in_distribution", "out_of_distribution"}
    for g in groups:
        plain = [r for r in g.responses if not r.hinted]
        assert len(plain) == responses == len(g.responses) - 1
        assert len({r.text for r in g.responses}) == len(g.responses)
        assert {r.correct for r in plain} == {True, False}
        for r in g.responses:
            assert r.text.endswith(f" {g.answer}.") == r.correct == r.text.endswith("0.")
            assert (r.error_start is None) == r.correct
            if not r.correct:
                before, step = r.text[: r.error_start], r.text[r.error_start : r.error_end]
                assert step.endswith(".") and not step.endswith("0.") and "\n" not in step
                assert all(line.endswith("0.") for line in before.splitlines())
        lowest_right = min(r.score for r in g.responses if r.correct)
        assert lowest_right > max(r.score for r in g.responses if not r.correct)
    assert len({r.score for g in groups for r in g.responses}) >= 4
    held_out = {g.category for g in groups if split_of[g.group_id] == "out_of_distribution"}
    assert held_out == {"multiplication"}
    models = Counter((r.model, r.correct) for g in groups for r in g.responses)
    assert len(models) == 4 or responses == 2


def test_toy_data_has_a_limit() -> None:
    with pytest.raises(UserError, match="at most"):
        toy_groups(ToyData(source="toy", responses=1000))


GROUP_ROW = {
    "id": "g1",
    "prompt": "1 + 1?",
    "subset": "sums",
    "responses": [
        {"text": "2", "correct": True, "model": "m", "leak": "clean"},
        {"text": "3", "correct": False, "error_start": 0, "error_end": 1},
        {"text": "4", "score": 1},
    ],
    "meta": {"anything": 1},
}
PAIR_ROW = {"prompt": "1 + 1?", "chosen": "2", "rejected": "3"}


def write(path: Path, *rows) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["data.jsonl", "data.jsonl.gz"])
def test_groups_and_pairs_from_json_lines(tmp_path: Path, name: str) -> None:
    pair = PAIR_ROW | {"margin": 2, "chosen_model": "m", "extra": [1]}
    path = write(tmp_path / name, GROUP_ROW, "", pair, PAIR_ROW | {"id": 7, "category": "c"})
    groups = read_file(path)
    assert [(g.group_id, g.category) for g in groups] == [
        ("g1", "sums"),
        (f"{name}/3", "all"),
        ("7", "c"),
    ]
    assert groups[0].responses == (
        Response("2", True, model="m"),
        Response("3", False, annotated=True, error_start=0, error_end=1),
        Response("4", score=1.0),
    )
    assert groups[1].responses == (
        Response("2", score=2.0, model="m", pair=0),
        Response("3", score=0.0, pair=0),
    )
    assert groups[2].responses == (
        Response("2", score=1.0, pair=0),
        Response("3", score=0.0, pair=0),
    )


def test_groups_and_pairs_from_parquet(tmp_path: Path) -> None:
    made = [group("g", "1 + 1?", "3", "2")]
    pq.write_table(
        pa.Table.from_pylist([asdict(g) for g in made], schema=GROUPS), tmp_path / "g.parquet"
    )
    assert read_file(tmp_path / "g.parquet") == made
    pq.write_table(pa.Table.from_pylist([PAIR_ROW]), tmp_path / "p.parquet")
    assert read_file(tmp_path / "p.parquet")[0].responses[0] == Response("2", score=1.0, pair=0)


def first_response(**changes) -> dict:
    return GROUP_ROW | {"responses": [{"text": "2", "correct": True} | changes]}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{not json", "row 2 is not JSON"),
        ([1], "row 2 is not an object"),
        ({"prompt": "a", "answer": "b"}, "row 2: neither the key 'responses'"),
        ({"prompt": "a", "chosen": "b"}, "row 2: 'rejected' is missing (it has: prompt, chosen)"),
        ({"chosen": "a", "rejected": "b"}, "row 2: 'prompt' is missing"),
        (
            {"promt": "a", "chosen": "b", "rejected": "c"},
            "row 2: 'prompt' is missing; did you mean 'prompt' by 'promt'?",
        ),
        # `chosen_model` is near, but a key of its own.
        (
            {"prompt": "a", "chosn": "b", "chosen_model": "m", "rejected": "c"},
            "row 2: 'chosen' is missing; did you mean 'chosen' by 'chosn'?",
        ),
        (
            {"prompt": "a", "respones": []},
            "row 2: neither the key 'responses' (a group) nor 'chosen' and 'rejected' (a pair) is "
            "there; did you mean 'responses' by 'respones'?",
        ),
        (
            GROUP_ROW | {"responses": [{"txt": "2", "correct": True}]},
            "row 2, response 1: 'text' is missing; did you mean 'text' by 'txt'?",
        ),
        (PAIR_ROW | {"prompt": " "}, "row 2: 'prompt' is empty"),
        (PAIR_ROW | {"chosen": ""}, "row 2: 'chosen' is empty"),
        (PAIR_ROW | {"rejected": None}, "row 2: 'rejected' is empty"),
        (PAIR_ROW | {"rejected": "2"}, "row 2: 'chosen' and 'rejected' are equal"),
        (PAIR_ROW | {"chosen": ["2"]}, "row 2: 'chosen' must be text, it is a list"),
        (
            PAIR_ROW | {"prompt": [{"role": "user", "content": "1 + 1?"}]},
            "row 2: 'prompt' must be text, it is a list of messages; give the 'content' of the one",
        ),
        (PAIR_ROW | {"margin": "big"}, "row 2: 'margin' must be a number, it is the text 'big'"),
        (PAIR_ROW | {"margin": -1}, "row 2: 'margin' must be above 0 (it is -1.0); swap the two"),
        (PAIR_ROW | {"margin": 0}, "row 2: 'margin' must be above 0 (it is 0.0); remove the row"),
        (
            PAIR_ROW | {"chosen": "\ud83d"},
            "row 2: 'chosen' holds half a character (a lone surrogate); correct the text",
        ),
        (
            "[",
            "row 2 is not JSON (Expecting value: line 2 column 1 (char 2)); write one object",
        ),
        (PAIR_ROW | {"id": "first"}, "row 2: the id 'first' is that of row 1 too"),
        (GROUP_ROW | {"responses": []}, "row 2: 'responses' must be a list"),
        (GROUP_ROW | {"responses": ["2"]}, "row 2, response 1 is not an object"),
        (first_response(text=""), "row 2, response 1: 'text' is empty"),
        (first_response(correct="yes"), "row 2, response 1: 'correct' must be true, false or null"),
        (first_response(score=float("nan")), "row 2, response 1: 'score' is not a finite number"),
        (first_response(error_start=0), "row 2, response 1: give both"),
        (first_response(error_start=0, error_end=9), "row 2, response 1: the error span"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, bad, message: str) -> None:
    path = write(tmp_path / "data.jsonl", PAIR_ROW | {"id": "first"}, bad)
    with pytest.raises(UserError) as error:
        read_file(path)
    assert str(error.value).startswith(f"{path}: {message}")


def _truncated_gzip(folder: Path) -> Path:
    path = write(folder / "data.jsonl.gz", *[PAIR_ROW] * 50)
    path.write_bytes(path.read_bytes()[:-12])
    return path


def _plain_text_as_gzip(folder: Path) -> Path:
    write(folder / "data.jsonl", PAIR_ROW).rename(folder / "data.jsonl.gz")
    return folder / "data.jsonl.gz"


def _truncated_parquet(folder: Path) -> Path:
    path = folder / "data.parquet"
    pq.write_table(pa.Table.from_pylist([PAIR_ROW]), path)
    path.write_bytes(path.read_bytes()[:-12])
    return path


def _not_utf8(folder: Path) -> Path:
    (folder / "data.jsonl").write_bytes(b'{"prompt": "\xff"}\n')
    return folder / "data.jsonl"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "gone.jsonl", "is not there"),
        (lambda folder: write(folder / "data.csv"), "unknown file type"),
        (lambda folder: write(folder / "data.jsonl"), "has no row"),
        (_truncated_gzip, "is not a whole gzip file"),
        (_plain_text_as_gzip, "is not a whole gzip file"),
        (_truncated_parquet, "is not a whole parquet file"),
        (_not_utf8, "not UTF-8"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, make, message: str) -> None:
    path = make(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        read_file(path)
    assert str(path) in str(error.value)


def prepare(monkeypatch, tmp_path: Path, data: dict | None = None) -> Path:
    """Run the command on the tiny experiment, with other data if given."""
    content = yaml.safe_load((ROOT / "config/tiny.yaml").read_text())
    config = tmp_path / "experiment.yaml"
    config.write_text(yaml.safe_dump(content | ({"data": data} if data else {})))
    output = tmp_path / "prepared"
    command = ["groups", "prepare", "--experiment", str(config), "--output", str(output)]
    monkeypatch.setattr(sys, "argv", [*command, "--card", str(tmp_path / "card.json")])
    main()
    return output


def test_prepare_writes_the_same_bytes_twice(monkeypatch, tmp_path: Path) -> None:
    output = prepare(monkeypatch, tmp_path)
    first = {p.name: p.read_bytes() for p in output.iterdir()}
    assert set(first) == {
        "train.parquet",
        "in_distribution.parquet",
        "out_of_distribution.parquet",
        "first_wrong_step.parquet",
        "leaks.json",
        "preparation.json",
    }
    counts = json.loads(first["preparation.json"])["sets"]
    assert counts["train"]["prompts"] == len(read_groups(output / "train.parquet"))
    assert counts["train"]["hinted"] == 0 < counts["first_wrong_step"]["hinted"]
    again = prepare(monkeypatch, tmp_path)
    assert {p.name: p.read_bytes() for p in again.iterdir()} == first
    assert (tmp_path / "card.json").is_file()


def test_prepare_takes_own_files(monkeypatch, tmp_path: Path, capsys) -> None:
    unlabelled = {"prompt": "Why?", "responses": [{"text": "Because."}]}
    train = write(tmp_path / "train.jsonl", PAIR_ROW, GROUP_ROW, unlabelled)
    test = write(tmp_path / "test.jsonl", PAIR_ROW | {"prompt": "2 + 2?"})
    data = {"source": "files", "train": str(train), "evaluation": {"mine": str(test)}}
    output = prepare(monkeypatch, tmp_path, data)
    assert len(read_groups(output / "train.parquet")) == 2
    assert len(read_groups(output / "mine.parquet")) == 1
    left_out = json.loads((output / "preparation.json").read_text())["left_out"]
    assert left_out == {"responses without a label": 1, "prompts without a response left": 1}
    assert "warning: 2 near-duplicate prompts between train and mine" in capsys.readouterr().err


def test_ignored_keys_are_noted_once_with_the_nearest_known_key(tmp_path: Path) -> None:
    texts = ("5", "6", "7")
    pairs = [PAIR_ROW | {"rejected": x, "rejeced_model": "m", "uid": 1} for x in texts]
    pairs += [PAIR_ROW | {"uid": None}]
    answers = [{"text": "2", "mdoel": "m", "correct": True}, {"text": "3", "mdoel": "n"}]
    path = write(tmp_path / "data.jsonl", *pairs, {"prompt": "a", "responses": answers, "uid": 2})
    notes: list[str] = []
    read_file(path, notes)
    assert notes[:3] == [
        f"{path}: the key 'rejeced_model' of 3 rows is ignored; did you mean 'rejected_model'?",
        f"{path}: the key 'uid' of 4 rows is ignored; did you mean 'id'?",
        f"{path}: the key 'mdoel' of 2 responses is ignored; did you mean 'model'?",
    ]


def test_groups_that_mix_kinds_of_labels_are_noted() -> None:
    right, wrong = Response("a", correct=True), Response("b", correct=False)
    low, high = Response("c", score=1.0), Response("d", score=2.0)
    both = Response("e", correct=True, score=3.0)

    def made(*responses: Response) -> PromptGroup:
        return PromptGroup("g", "test", "all", "Why?", responses)

    plain = [made(right, wrong), made(low, high), made(both, wrong), made(both, low)]
    assert mixed_labels_note("mine.jsonl", plain) is None
    note = mixed_labels_note(
        "mine.jsonl", [*plain, made(right, wrong, low, high), made(low, wrong)]
    )
    assert note.startswith("mine.jsonl: in 2 of 6 groups some responses have only 'correct'")
    assert "so 5 pairs of responses have no order" in note


def test_prepare_says_what_it_ignores_and_keeps_it(monkeypatch, tmp_path: Path, capsys) -> None:
    answers = [{"text": "2", "correct": True}, {"text": "3", "score": 1}]
    mixed = {"prompt": "Why?", "responses": answers}
    train = write(tmp_path / "train.jsonl", PAIR_ROW | {"rejeced_model": "m"}, mixed)
    test = write(tmp_path / "test.jsonl", PAIR_ROW | {"prompt": "2 + 2?"})
    data = {"source": "files", "train": str(train), "evaluation": {"mine": str(test)}}
    output = prepare(monkeypatch, tmp_path, data)
    notes = json.loads((output / "preparation.json").read_text())["notes"]
    assert ["did you mean 'rejected_model'" in note for note in notes] == [True, False]
    assert "in 1 of 2 groups" in notes[1]
    printed = capsys.readouterr().err
    assert all(f"note: {note}\n" in printed for note in notes)


def test_shared_prompts_leave_the_leak_report_beside_the_output(
    monkeypatch, tmp_path: Path
) -> None:
    train = write(tmp_path / "train.jsonl", PAIR_ROW)
    test = write(tmp_path / "test.jsonl", PAIR_ROW)
    data = {"source": "files", "train": str(train), "evaluation": {"mine": str(test)}}
    place = tmp_path / "prepared.leaks.json"
    with pytest.raises(UserError, match=re.escape(f"(see {place})")):
        prepare(monkeypatch, tmp_path, data)
    (entry,) = json.loads(place.read_text())["comparisons"]
    assert entry["equal_prompts"] == {"count": 1, "groups": [["train.jsonl/1", "test.jsonl/1"]]}
    write(test, PAIR_ROW | {"prompt": "2 + 2?"})
    prepare(monkeypatch, tmp_path, data)
    assert not place.exists()


@pytest.mark.parametrize(
    ("rows", "name", "message"),
    [
        ([PAIR_ROW], "mine", "have the same prompt"),
        ([{"prompt": "Why?", "responses": [{"text": "a"}]}], "mine", "'mine' has no response"),
        ([PAIR_ROW], "train", "'train' has a meaning of its own"),
    ],
)
def test_prepare_leaves_nothing_after_an_error(
    monkeypatch, tmp_path: Path, rows: list, name: str, message: str
) -> None:
    train = write(tmp_path / "train.jsonl", PAIR_ROW)
    test = write(tmp_path / "test.jsonl", *rows)
    data = {"source": "files", "train": str(train), "evaluation": {name: str(test)}}
    with pytest.raises(UserError, match=message):
        prepare(monkeypatch, tmp_path, data)
    assert not (tmp_path / "prepared").exists() and not list(tmp_path.glob(".*"))


def test_prepare_of_champ_asks_for_the_raw_file(monkeypatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--raw"):
        prepare(monkeypatch, tmp_path, {"source": "champ"})
