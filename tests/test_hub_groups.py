"""Rows of the hub's sets -> prompt groups: what enters, what does not, and the counts."""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from steps.backbone import load_tokenizer
from steps.chat import ChatFormat
from steps.config import load_experiment
from steps.config.hub_data import HubProblems, LocalProblems, Prm800kData, SkyworkData
from steps.errors import UserError
from steps.files import write_json
from steps.groups.__main__ import main as groups_main
from steps.groups.grading.boxed import boxed_answer, grade_boxed
from steps.groups.hub_sets import hub_sets
from steps.groups.leaks import drop_shared_prompts
from steps.groups.prm800k import read_problems, solution_groups, split_validation
from steps.groups.schema import PromptGroup, Response, check_groups, read_groups
from steps.groups.skywork import skywork_groups
from steps.groups.unified_feedback import SUMMARY_INSTRUCTION, unified_feedback_groups
from steps.sample import __main__ as sampling_command
from steps.sample.backend import Completion, Request
from steps.sample.settings import sampling_for
from tests.conftest import ROOT


def talk(*texts: str) -> list[dict]:
    roles = ("user", "assistant")
    return [{"role": roles[k % 2], "content": text} for k, text in enumerate(texts)]


def uf_row(a: float | None, b: float | None, **changes) -> dict:
    row = {
        "source": "ultrachat",
        "conv_A": talk("Why?", "Because."),
        "conv_B": talk("Why?", "No idea."),
        "conv_A_rating": a,
        "conv_B_rating": b,
    }
    return row | changes


def skywork_row(number: int, **changes) -> dict:
    chosen, rejected = talk(f"Why {number}?", "Because."), talk(f"Why {number}?", "No.")
    return {"source": "offsetbias", "chosen": chosen, "rejected": rejected} | changes


def save(folder: Path, split: str, rows: list[dict]) -> Path:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")
    write_json(folder / "source.json", {"id": "a/b", "commit": "0" * 40})
    return folder


def numbers(groups: list[PromptGroup]) -> list[int]:
    return [int(group.group_id.rpartition("/")[2]) for group in groups]


def test_equal_ratings_go_before_the_stride(tmp_path: Path) -> None:
    ratings = [(1, 1), (2, 1), (1, 2), (3, 3), (0, 5), (None, 1), (4, 1), (1, 0)]
    folder = save(tmp_path / "uf", "train", [uf_row(a, b) for a, b in ratings])
    left_out: Counter = Counter()
    groups = unified_feedback_groups(folder, "train", 2, left_out)
    assert numbers(groups) == [1, 4, 7]  # of 1, 2, 4, 6, 7
    assert +left_out == {
        "rows with equal ratings": 2,
        "rows without two ratings": 1,
        "rows that a stride of 2 skips": 2,
    }
    check_groups(groups, "test")
    assert [[r.score for r in group.responses] for group in groups] == [[2, 1], [0, 5], [1, 0]]
    assert groups[0].responses[0].text == "Because."


def test_rows_beyond_one_batch_keep_their_numbers(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("steps.groups.raw._BATCH", 7)
    rows = [uf_row(1, 0, conv_A=talk("Why?", f"answer {k}")) for k in range(50)]
    groups = unified_feedback_groups(save(tmp_path, "train", rows), "train", 8, Counter())
    assert numbers(groups) == [0, 8, 16, 24, 32, 40, 48]
    assert [g.responses[0].text for g in groups] == [f"answer {k}" for k in numbers(groups)]


def test_summaries_get_an_instruction(tmp_path: Path) -> None:
    post = talk("  A long post.\n", "Short.")
    row = uf_row(1, 0, conv_A=post, conv_B=talk("  A long post.\n", "Other."))
    rows = [row, row | {"source": "openai/summarize_from_feedback(comparisons)"}]
    plain, summary = unified_feedback_groups(save(tmp_path, "val", rows), "val", 1, Counter())
    assert plain.prompt == "  A long post.\n"
    assert summary.prompt == SUMMARY_INSTRUCTION + "A long post."
    assert summary.category == "openai/summarize_from_feedback(comparisons)"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"conv_B": talk("Why not?", "No.")}, "pairs with two prompts"),
        ({"conv_B": talk("Why?", "Because.")}, "pairs of identical texts"),
        ({"conv_B": talk("Why?", "  ")}, "pairs with an empty text"),
        ({"conv_B": talk("Why?")}, "conversations without a response"),
    ],
)
def test_rows_that_are_no_pair_are_counted(tmp_path: Path, changes: dict, reason: str) -> None:
    left_out: Counter = Counter()
    folder = save(tmp_path, "train", [uf_row(1, 0, **changes), uf_row(1, 0)])
    assert numbers(unified_feedback_groups(folder, "train", 1, left_out)) == [1]
    assert +left_out == {reason: 1}


def test_later_turns_are_cut_and_counted(tmp_path: Path) -> None:
    left_out: Counter = Counter()
    row = uf_row(1, 0, conv_A=talk("Why?", "Because.", "Really?", "Yes."))
    (group,) = unified_feedback_groups(save(tmp_path, "train", [row]), "train", 1, left_out)
    assert group.responses[0].text == "Because."
    assert +left_out == {"later turns of kept conversations": 1}


def test_skywork_holds_out_rows_by_their_number_in_the_file(tmp_path: Path) -> None:
    rows = [skywork_row(k) for k in range(12)]
    rows[3] = skywork_row(3, chosen=talk("Why?", "A.", "And?", "B."))
    rows[5] = skywork_row(5, rejected=talk("What?", "No."))
    left_out: Counter = Counter()
    train, held_out = skywork_groups(save(tmp_path, "train", rows), 5, left_out)
    assert numbers(held_out) == [0, 10]  # row 5 is left out, its neighbours are not moved up
    assert numbers(train) == [1, 2, 4, 6, 7, 8, 9, 11]
    assert left_out == {"conversations of more than one turn": 1, "pairs with two prompts": 1}
    assert [r.score for r in train[0].responses] == [1.0, 0.0]


def test_skywork_trains_on_unified_feedback_too(tmp_path: Path) -> None:
    skywork = save(tmp_path / "skywork", "train", [skywork_row(k) for k in range(4)])
    # The prompt of the first row is that of a held-out one.
    first = {"conv_A": talk("why 0?", "a"), "conv_B": talk("why 0?", "b")}
    more = save(tmp_path / "uf", "train", [uf_row(1, 0, **first), uf_row(2, 0), uf_row(3, 0)])
    data = SkyworkData(source="skywork", held_out_every=2, unified_feedback_every=2)
    sets, facts = hub_sets(data, [skywork, more])
    assert [group.source for group in sets["train"]] == ["skywork"] * 2 + ["unified_feedback"] * 2
    assert numbers(sets["validation"]) == [2]
    assert facts["left_out"]["validation prompts that training has too"] == 1
    assert [entry["id"] for entry in facts["raw"]] == ["a/b", "a/b"]
    with pytest.raises(UserError, match="give --raw resources/skywork@main resources/unified"):
        hub_sets(data, [skywork])


def test_a_raw_folder_that_is_missing_or_foreign_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.parquet is not there; run .* data"):
        skywork_groups(tmp_path / "gone", 10, Counter())
    save(tmp_path, "train", [{"source": "a", "chosen": []}])
    with pytest.raises(UserError, match="the column 'rejected' is missing"):
        skywork_groups(tmp_path, 10, Counter())
    (tmp_path / "train.parquet").write_bytes(b"PAR1 half")
    with pytest.raises(UserError, match="not a whole parquet file"):
        skywork_groups(tmp_path, 10, Counter())


def test_shared_prompts_leave_the_evaluation_set() -> None:
    def group(name: str, prompt: str) -> PromptGroup:
        return PromptGroup(name, "s", "c", prompt, (Response("a", score=1.0),))

    sets = {
        "train": [group("t", "How TALL is it?")],
        "validation": [group("a", "how tall  is it?"), group("b", "How wide is it?")],
    }
    assert drop_shared_prompts(sets) == {"validation": 1}
    assert [g.group_id for g in sets["validation"]] == ["b"]
    assert len(sets["train"]) == 1


def problem_lines(count: int) -> str:
    lines = [
        {"question": {"problem": f"{k} + 1?", "ground_truth_answer": str(k + 1)}, "label": {}}
        for k in range(count)
        for _ in range(3)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def samples(path: Path, prompts: list[str]) -> Path:
    """Three solutions a problem, as if its answer were 1; the labels in the file are wrong."""
    texts = [r"So it is $\boxed{1}$.", r"It is \boxed{7}.", "It is 1."]
    responses = [{"text": text, "correct": False, "model": "m"} for text in texts]
    rows = [json.dumps({"prompt": prompt, "responses": responses}) + "\n" for prompt in prompts]
    path.write_text("".join(rows))
    return path


def test_solutions_are_graded(tmp_path: Path) -> None:
    file = tmp_path / "phase2_train.jsonl"
    file.write_text(problem_lines(10))
    problems = read_problems(file, 4)
    assert list(problems.items())[-1] == ("3 + 1?", "4")
    left_out: Counter = Counter()
    given = samples(tmp_path / "samples.jsonl", ["0 + 1?", "6 + 1?", "2 + 1?\n"])
    groups = solution_groups(problems, given, "some", left_out)
    assert [[r.correct for r in g.responses] for g in groups] == [
        [True, False, False],
        [False, False, False],
    ]
    assert (groups[0].answer, groups[0].source) == ("1", "some")
    assert left_out == {
        "sampled prompts that are none of the problems": 1,
        "problems without a sampled solution": 2,
    }
    again = samples(tmp_path / "samples.jsonl", ["0 + 1?", "0 + 1?"])
    (merged,) = solution_groups(problems, again, "some", Counter())
    assert merged.responses == groups[0].responses * 2
    with pytest.raises(UserError, match="no prompt of"):
        solution_groups({"other": "1"}, given, "some", Counter())


def test_prm800k_is_split_by_problem(tmp_path: Path) -> None:
    file = tmp_path / "phase2_train.jsonl"
    file.write_text(problem_lines(20))
    given = samples(tmp_path / "samples.jsonl", [f"{k} + 1?" for k in range(20)])
    problems = LocalProblems(source="local", path=str(file))
    data = Prm800kData(source="prm800k", problems=problems, first=20, samples=str(given))
    sets, _ = hub_sets(data, [])
    assert len(sets["validation"]) == 2 and len(sets["train"]) == 18
    assert {g.prompt for g in sets["train"]}.isdisjoint(g.prompt for g in sets["validation"])
    assert hub_sets(data, [])[0] == sets
    everything = sets["train"] + sets["validation"]
    splits = {tuple(numbers(split_validation(everything, 0.1, seed)[1])) for seed in range(5)}
    assert len(splits) > 1


@pytest.mark.parametrize(
    ("content", "first", "message"),
    [
        (None, 2, "is not there"),
        ("version https://git-lfs.github.com/spec/v1\n", 2, "line 1 has neither question.problem"),
        ('{"question": {"problem": "a"}}\n', 2, "line 1 has neither .* nor problem and answer"),
        ('{"problem": "a", "solution": "b"}\n', 2, "line 1 has neither .*; name another file"),
        ("7\n", 2, "line 1 has neither"),
        ('{"question": {"problem": "a", "ground_truth_answer": null}}\n', 2, "line 1: the problem"),
        (problem_lines(3), 4, "has 3 distinct problems, `first` asks for 4"),
    ],
)
def test_a_bad_file_of_problems_is_named(tmp_path: Path, content, first, message: str) -> None:
    file = tmp_path / "phase2_train.jsonl"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UserError, match=message):
        read_problems(file, first)


def test_missing_samples_are_one_sentence(tmp_path: Path) -> None:
    problems = HubProblems(source="hub", id="a/b", file="f.jsonl")
    data = Prm800kData(source="prm800k", problems=problems, samples=str(tmp_path / "no.jsonl"))
    with pytest.raises(UserError, match=r"data\.samples: .*no\.jsonl is not there; correct"):
        hub_sets(data, [tmp_path])


def test_further_evaluation_sets_are_graded_by_their_own_answers(tmp_path: Path) -> None:
    file = tmp_path / "phase2_train.jsonl"
    file.write_text(problem_lines(4))
    given = samples(tmp_path / "samples.jsonl", [f"{k} + 1?" for k in range(4)])
    candidates = tmp_path / "math500.jsonl"
    texts = [r"Hence \boxed{\frac{1}{2}}.", r"Hence \boxed{0.5}.", r"Hence \boxed{2}.", "One half."]
    row = {"prompt": "Half of 1?", "answer": "1/2", "responses": [{"text": t} for t in texts]}
    candidates.write_text(json.dumps(row) + "\n")
    data = Prm800kData(
        source="prm800k",
        problems=LocalProblems(source="local", path=str(file)),
        first=4,
        samples=str(given),
        evaluation={"math500": str(candidates)},
    )
    assert data.evaluation_sets == ["validation", "math500"]
    sets, _ = hub_sets(data, [])
    (group,) = sets["math500"]
    assert [response.correct for response in group.responses] == [True, True, False, False]
    candidates.write_text(json.dumps(row | {"answer": None}) + "\n")
    with pytest.raises(UserError, match=r"math500\.jsonl: row 1 has no 'answer' to grade by"):
        hub_sets(data, [])


class Solver:
    """A sampler that boxes the right answer to every prompt but the last one of a problem."""

    def __init__(self, chat: ChatFormat):
        self.chat = chat
        self.read: list[str] = []

    def generate(self, batch: list[Request], asked_to_stop) -> list[Completion]:
        return [self._answer(request) for request in batch]

    def _answer(self, request: Request) -> Completion:
        prompt = self.chat.tokenizer.decode(request.prompt)
        self.read.append(prompt)
        number = int(re.search(r"(\d+) \+ 1", prompt)[1])
        answer = number + 1 if request.number % 2 else number
        text = rf"It is \boxed{{{answer}}}."
        ids = self.chat.encode_response("?", text).ids
        return Completion(tuple(ids), "stop")


def test_solutions_are_sampled_graded_and_split(
    tmp_path: Path, backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three commands of the rules."""
    file = tmp_path / "phase2_train.jsonl"
    file.write_text(problem_lines(12))
    content = yaml.safe_load((ROOT / "config/tiny.yaml").read_text())
    content["data"] = {
        "source": "prm800k",
        "problems": {"source": "local", "path": str(file)},
        "first": 12,
        "sampling": {"samples": 2, "max_new_tokens": 24, "system": "Box it."},
    }
    experiment = tmp_path / "sampled.yaml"
    experiment.write_text(yaml.safe_dump(content))
    common = ["--experiment", experiment]
    problems, solutions = tmp_path / "problems.parquet", tmp_path / "solutions.parquet"
    prepared = tmp_path / "prepared"
    solver = Solver(ChatFormat(load_tokenizer(backbone, load_experiment(experiment))))
    monkeypatch.setattr(sampling_command, "_backend", lambda *_: solver)

    def call(main: Callable[[], None], *words: str | Path) -> None:
        monkeypatch.setattr(sys, "argv", ["step", *map(str, words)])
        main()

    call(groups_main, "problems", *common, "--output", problems)
    files = ["--model", backbone, "--groups", problems, "--output", solutions]
    call(sampling_command.main, *common, "--use", "solutions", *files)
    assert len(solver.read) == 24 and all("Box it." in prompt for prompt in solver.read)
    call(groups_main, "prepare", *common, "--solutions", solutions, "--output", prepared)
    sets = {name: read_groups(prepared / f"{name}.parquet") for name in ("train", "validation")}
    assert {name: len(groups) for name, groups in sets.items()} == {"train": 11, "validation": 1}
    for group in (group for groups in sets.values() for group in groups):
        assert "Box it." not in group.prompt
        assert [response.correct for response in group.responses] == [False, True]
    with pytest.raises(UserError, match=r"lacks data\.sampling"):
        sampling_for(load_experiment(ROOT / "config/tiny.yaml"), "solutions")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"A first \boxed{1}." + "\n\n" + r"Hence \boxed{\frac{1}{2}} it is.", r"\frac{1}{2}"),
        (r"\boxed{1} and \boxed{2}", "2"),
        (r"So \boxed{3}." + "\n\nThat was it.", None),  # not in the last paragraph
        (r"So \boxed{3", None),
        ("So 3.", None),
    ],
)
def test_the_boxed_answer_of_the_last_paragraph(text: str, answer: str | None) -> None:
    assert boxed_answer(text) == answer


@pytest.mark.parametrize(
    ("gold", "claim", "right"),
    [
        (r"40,\!000", "40000", True),
        (r"\frac{1}{2}", "0.5", True),
        (r"(3, \frac{\pi}{2})", r"\left(3,\dfrac{\pi}{2}\right)", True),
        (r"\text{Evelyn}", "Evelyn", True),
        (r"90^\circ", "90", True),
        ("x^2-1", "(x-1)(x+1)", True),
        ("[-2,7]", r"x \in [-2,7]", True),
        ("3", "4", False),
        ("1,2", "1", False),
        ("3", "", False),
    ],
)
def test_boxed_answers_are_compared_as_mathematics(gold: str, claim: str, right: bool) -> None:
    assert grade_boxed(gold, rf"Therefore $\boxed{{{claim}}}$.") is right
