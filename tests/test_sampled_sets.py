"""Evaluation sets whose solutions a language model writes: from the hub's problems to best-of-N."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

from steps.config import Experiment
from steps.config.hub_data import Prm800kData
from steps.config.workflow import problem_files
from steps.errors import UserError
from steps.groups.__main__ import make_sets
from steps.groups.grading.boxed import boxed_answer, grade_boxed
from steps.groups.prm800k import read_problems
from steps.groups.schema import PromptGroup, read_groups
from tests.boxer import write_boxer
from tests.conftest import ROOT
from tests.hub import COMMIT, Hub, Repository, serve
from tests.pipeline_runs import fresh_tree, run
from tests.reference_data import reference_data
from tests.test_hub import check_failure, download

PROBLEMS = {"source": "hub", "id": "some/MATH", "file": "test.jsonl", "revision": COMMIT}
MODEL = {"source": "hub", "id": "some/boxer", "revision": COMMIT}
SUMS = {
    "problems": PROBLEMS,
    "first": 6,
    "model": MODEL,
    "sampling": {"samples": 8, "max_new_tokens": 12, "system": "Box it."},
}
DATA = {
    "source": "prm800k",
    "problems": {"source": "local", "path": "train.jsonl"},
    "first": 10,
    "sampling": {"samples": 4, "max_new_tokens": 12},
    "evaluation": {"sums": SUMS},
}


def math_line(problem: str, answer: str, **more) -> str:
    """A row as MATH-500 has it."""
    row = {"problem": problem, "solution": "So it is.", "answer": answer, "subject": "Prealgebra"}
    return json.dumps(row | {"level": 1, "unique_id": f"test/{answer}.json"} | more) + "\n"


def sums(left: int, count: int) -> str:
    """Sums of ``left`` and a number, whose results are 3, 4, 5 and 6 in turns."""
    answers = [3 + k % 4 for k in range(count)]
    lines = [f"What is {left + k} + {a - left - k}?" for k, a in enumerate(answers)]
    return "".join(math_line(line, str(a)) for line, a in zip(lines, answers, strict=True))


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serve() as running:
        yield running


@pytest.fixture(scope="module")
def finished(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree in which `snakemake tables` has run; problems and sampler are of the hub."""
    tree = fresh_tree(tmp_path_factory.mktemp("sampled") / "tree")
    boxer = write_boxer(tree.parent / "boxer", "3456")
    files = {path.name: path.read_bytes() for path in boxer.iterdir()}
    hub.repositories["models/some/boxer"] = Repository(files)
    hub.repositories["datasets/some/MATH"] = Repository({"test.jsonl": sums(100, 6).encode()})
    (tree / "train.jsonl").write_text(sums(0, 10))
    write_experiment(tree, DATA)
    result = run(tree, "tables", experiment="sums", environment=hub.environment(tree.parent))
    assert result.returncode == 0, result.stdout + result.stderr
    return tree


def write_experiment(tree: Path, data: dict) -> None:
    content = yaml.safe_load((ROOT / "config/tiny.yaml").read_text())
    del content["benchmarks"]
    content |= {"data": data, "generator": {"model": MODEL}, "methods": ["orm"], "seeds": [0]}
    content["selection"] |= {"evaluation_responses": 8, "one_sided_prompts": True}
    content["training"] |= {"labels": "pointwise", "learning_rate": 3e-3}
    (tree / "config/sums.yaml").write_text(yaml.safe_dump(content))


def of_set(tree: Path, folder: str, name: str) -> list[PromptGroup]:
    return read_groups(tree / f"results/sums/{folder}/{name}.parquet")


def test_solutions_of_the_hubs_problems_are_sampled_and_graded(finished: Path) -> None:
    groups = of_set(finished, "groups", "sums")
    assert [group.group_id for group in groups] == [f"sums/{k}" for k in range(6)]
    assert [group.answer for group in groups] == ["3", "4", "5", "6", "3", "4"]
    for group in groups:
        assert len(group.responses) == 8 and "Box it." not in group.prompt
        for response in group.responses:
            assert re.fullmatch(r"\\boxed\{[3-6]\}", response.text)
            assert response.correct == (response.text == rf"\boxed{{{group.answer}}}")
    parts = {name: of_set(finished, "prepared", name) for name in ("train", "validation")}
    assert {name: len(part) for name, part in parts.items()} == {"train": 9, "validation": 1}
    assert {len(g.responses) for part in parts.values() for g in part} == {4}


def test_best_of_n_is_over_all_candidates_of_all_problems(finished: Path) -> None:
    """Also of those that have no pair; of one drawn candidate it is the share of right ones."""
    groups = of_set(finished, "groups", "sums")
    right = [[response.correct for response in group.responses] for group in groups]
    table = pd.read_csv(finished / "results/sums/tables/main.csv")
    table = table[table["eval_set"] == "sums"].set_index(["method", "metric"])
    for drawn in (1, 2, 4, 8):
        assert table.loc[("orm", f"best_of_{drawn}"), "n"] == 6
    share = sum(map(sum, right)) / 48
    assert 0 < share < 1
    assert table.loc[("orm", "best_of_1"), "value"] == pytest.approx(share, abs=1e-6)
    possible = sum(map(any, right)) / 6
    assert table.loc[("oracle", "best_of_8"), "value"] == pytest.approx(possible, abs=1e-6)


def test_other_settings_of_a_set_sample_only_that_set_again(finished: Path) -> None:
    changed = SUMS | {"sampling": SUMS["sampling"] | {"seed": 1}}
    write_experiment(finished, DATA | {"evaluation": {"sums": changed}})
    plan = run(finished, "tables", "--dry-run", "--quiet", "host", experiment="sums").stdout
    write_experiment(finished, DATA)
    sampled = re.findall(r"^rule sample_solutions:.*?wildcards: set=(\w+)", plan, re.M | re.S)
    assert sampled == ["sums"], plan
    assert "rule prepare_groups" in plan and "rule problems" not in plan


@pytest.mark.parametrize(
    ("repository", "revision", "words"),
    [
        (Repository({"other.jsonl": b"{}"}), COMMIT, ["has no such file", "correct its name"]),
        (Repository({"test.jsonl": sums(0, 9).encode()}, cut={"test.jsonl"}), COMMIT, ["again"]),
        (Repository({"test.jsonl": b"{}"}, gated=403), COMMIT, ["is gated", "hf auth login"]),
        (Repository({"test.jsonl": b"{}"}), "f" * 40, ["no such revision"]),
    ],
)
def test_trouble_with_the_problems_is_one_sentence(
    hub: Hub, tmp_path: Path, repository: Repository, revision: str, words: list[str]
) -> None:
    hub.repositories["datasets/some/trouble"] = repository
    problems = PROBLEMS | {"id": "some/trouble", "revision": revision}
    data = DATA | {"evaluation": {"sums": SUMS | {"problems": problems}}}
    data["problems"] = problems
    result = download(hub, tmp_path, "prm800k", data=data)
    check_failure(result, tmp_path, ["'test.jsonl' of 'some/trouble'", revision, *words])


def test_a_gated_sampler_is_one_sentence(hub: Hub, tmp_path: Path, backbone: Path) -> None:
    files = {path.name: path.read_bytes() for path in backbone.iterdir()}
    hub.repositories["models/some/gated"] = Repository(files, gated=403)
    data = DATA | {"evaluation": {"sums": SUMS | {"model": MODEL | {"id": "some/gated"}}}}
    data["problems"] = PROBLEMS
    role = ["--role", "data.evaluation.sums.model"]
    result = download(hub, tmp_path, "model", *role, data=data)
    check_failure(result, tmp_path, ["the model 'some/gated'", "is gated", "hf auth login"])


def with_data(experiment: Experiment, data: dict) -> Experiment:
    return experiment.model_copy(update={"data": Prm800kData.model_validate(data)})


def test_a_file_that_two_sets_share_is_fetched_once(experiment: Experiment) -> None:
    other = SUMS | {"problems": PROBLEMS | {"file": "other.jsonl"}}
    data = DATA | {"evaluation": {"a": SUMS, "b": other, "c": SUMS}}
    made = with_data(experiment, data)
    fetched = [(each.kind, each.key) for each in made.hub_sets]
    assert fetched == [
        (f"evaluation.{name}", f"data.evaluation.{name}.problems.revision") for name in ("a", "b")
    ]
    (shared,) = problem_files(made, "a")["raw"]
    assert problem_files(made, "c")["raw"] == [shared] != problem_files(made, "b")["raw"]
    assert problem_files(made, "train") == {"raw": [], "own": ["train.jsonl"]}


def test_solutions_of_every_sampled_set_must_be_given(experiment: Experiment, tmp_path) -> None:
    given = [tmp_path / "solutions.parquet"]
    with pytest.raises(UserError, match=r"are sampled: give 2 \(train, sums, in this order\)$"):
        make_sets(with_data(experiment, DATA), [], given)
    with pytest.raises(UserError, match=r"are sampled: give 0$"):
        make_sets(experiment, [], given)
    with pytest.raises(UserError, match=r"lacks data\.evaluation\.others\.sampling"):
        with_data(experiment, DATA).sampled_set("others")


def test_the_real_problems_are_read_and_their_solutions_are_right(tmp_path: Path) -> None:
    """In the layout of the hub's file, which has these rows under these keys."""
    rows = []
    with gzip.open(reference_data("math500") / "prompts.jsonl.gz", "rt") as stream:
        for line in stream:
            row = json.loads(line)
            own = {key: row["meta"][key] for key in ("answer", "solution", "level")}
            rows.append({"problem": row["prompt"], "subject": row["subset"], **own})
    file = tmp_path / "test.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    problems = read_problems(file, 500)
    assert list(problems.values()) == [row["answer"] for row in rows]
    boxed = [row for row in rows if boxed_answer(row["solution"]) is not None]
    assert len(boxed) == 475  # the last paragraph of the others is a drawing or a remark
    assert all(grade_boxed(row["answer"], row["solution"]) for row in boxed)
