"""Per-item results from the scores of every run, and the rules that need no training."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steps.benchmarks.items import counted, read_items
from steps.benchmarks.left_out import LeftOut, write_whole_groups
from steps.benchmarks.registry import BENCHMARKS
from steps.benchmarks.rows import local_groups
from steps.benchmarks.runs import collect_scores, item_path, list_runs, main, score_files
from steps.benchmarks.scored import NOT_FINITE, scored_items
from steps.config import load_experiment
from steps.errors import UserError
from steps.groups.schema import PromptGroup
from steps.score.schema import Origin, write_scores
from tests.conftest import ROOT
from tests.reference_models import write_rewards
from tests.synthetic_scores import make_scores

REWARDBENCH = BENCHMARKS["rewardbench"]
EMPTY = LeftOut("mt-bench-hard/7", "mt-bench-hard", "response 1 is empty")
EXPERIMENT = load_experiment(ROOT / "config/tiny.yaml")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The groups and scores of the tiny experiment's benchmark."""
    groups, _ = local_groups(REWARDBENCH, ROOT / "examples/benchmark.jsonl")
    write_whole_groups(tmp_path / "groups/example.parquet", groups, [EMPTY])
    for place, (method, seed) in enumerate(EXPERIMENT.runs):
        scores = make_scores(groups, 1.0, np.random.default_rng(place))
        path = tmp_path / "scores" / method / f"seed{seed}/example.parquet"
        write_scores(path, scores, Origin("model", "hash", method, seed))
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, results: Path) -> Path:
    output = results / "items/example"
    arguments = ["--experiment", ROOT / "config/tiny.yaml", "--name", "example"]
    arguments += ["--results", results, "--output", output]
    monkeypatch.setattr("sys.argv", ["runs", *map(str, arguments)])
    main()
    return output


def items_of(folder: Path, method: str, seed: int | None) -> pd.DataFrame:
    return read_items(item_path(folder, (method, seed)), REWARDBENCH)


def rewards(folder: Path, method: str, seed: int | None) -> np.ndarray:
    return np.array(counted(items_of(folder, method, seed))["rewards"].tolist())


def test_every_run_has_the_items_of_its_own_scores(monkeypatch, results: Path) -> None:
    folder = run(monkeypatch, results)
    baselines = {("generator", None), *((n, s) for n in ("longest", "random") for s in (0, 1))}
    assert {*EXPERIMENT.runs, *baselines} < set(list_runs(EXPERIMENT))
    for method, seed in EXPERIMENT.runs:
        scores = pd.read_parquet(results / f"scores/{method}/seed{seed}/example.parquet")
        assert rewards(folder, method, seed).ravel() == pytest.approx(scores["reward"].to_numpy())
    items = items_of(folder, "icrm", 1)
    assert counted(items)["n_correct"].eq(1).all() and not items["truncated"].any()
    assert items["section"].eq("Chat Hard").all()


def test_a_row_that_no_run_has_says_so_in_each(monkeypatch, results: Path) -> None:
    folder = run(monkeypatch, results)
    for method, seed in list_runs(EXPERIMENT):
        items = items_of(folder, method, seed)
        (row,) = items[items["left_out"].notna()].itertuples()
        assert (row.id, row.subset, row.left_out) == (EMPTY.id, EMPTY.subset, EMPTY.reason)
        assert len(row.rewards) == len(row.n_tokens) == row.n_correct == 0


@pytest.mark.parametrize("reward", [np.nan, np.inf])
def test_one_reward_that_is_no_number_leaves_out_its_row_alone(
    monkeypatch, results: Path, reward: float
) -> None:
    path = results / "scores/orm/seed0/example.parquet"
    scores = pd.read_parquet(path)
    scores.loc[3, "reward"] = reward
    write_scores(path, scores, Origin("model", "hash", "orm", 0))
    folder = run(monkeypatch, results)
    items = items_of(folder, "orm", 0).set_index("id")
    assert items.loc[scores["group_id"][3], "left_out"] == NOT_FINITE
    assert items["left_out"].notna().sum() == 2
    # Other runs and the rules that need no training do not depend on that model.
    for method, seed in (("orm", 1), ("icrm", 0), ("generator", None), ("longest", 0)):
        assert items_of(folder, method, seed)["left_out"].notna().sum() == 1


def test_a_run_without_a_finite_reward_keeps_the_others(monkeypatch, results: Path) -> None:
    path = results / "scores/orm/seed0/example.parquet"
    scores = pd.read_parquet(path).assign(reward=np.float32("nan"))
    write_scores(path, scores, Origin("model", "hash", "orm", 0))
    folder = run(monkeypatch, results)
    assert items_of(folder, "orm", 0)["left_out"].notna().all()
    assert items_of(folder, "orm", 1)["left_out"].notna().sum() == 1


def test_baselines_follow_their_rule(monkeypatch, results: Path) -> None:
    folder = run(monkeypatch, results)
    scores = pd.read_parquet(results / "scores/orm/seed0/example.parquet")
    lengths = scores["n_tokens"].to_numpy().reshape(-1, 2)
    generator = [np.mean(row, dtype=np.float64) for row in scores["token_log_probs"]]
    assert rewards(folder, "generator", None).ravel() == pytest.approx(generator)
    differ = lengths[:, 0] != lengths[:, 1]
    assert differ.any() and not differ.all()
    longest, shortest = (rewards(folder, name, 0) for name in ("longest", "shortest"))
    assert (np.argmax(longest, axis=1) == np.argmax(lengths, axis=1))[differ].all()
    assert (np.argmax(shortest, axis=1) == np.argmin(lengths, axis=1))[differ].all()
    # Equal lengths are put in some order, another one with another seed; none is a tie.
    equal = longest[~differ]
    assert (equal[:, 0] != equal[:, 1]).all()
    assert (rewards(folder, "random", 0) != rewards(folder, "random", 1)).all()


def test_a_text_that_the_generator_cannot_write_comes_last(monkeypatch, results: Path) -> None:
    path = results / "scores/orm/seed0/example.parquet"
    scores = pd.read_parquet(path)
    values = list(scores["token_log_probs"])
    values[3] = np.append(values[3][:-1], np.float32(-np.inf))
    write_scores(path, scores.assign(token_log_probs=values), Origin("model", "hash", "orm", 0))
    values = rewards(run(monkeypatch, results), "generator", None).ravel()
    assert np.isfinite(values).all() and np.argmin(values) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: (s.iloc[:-1], "orm", 0), "has no score; run the score step again"),
        (lambda s: (s, "icrm", 0), "holds the scores of icrm with seed 0, not of orm"),
    ],
)
def test_scores_of_something_else_are_refused(monkeypatch, results: Path, change, words) -> None:
    path = results / "scores/orm/seed0/example.parquet"
    scores, method, seed = change(pd.read_parquet(path))
    write_scores(path, scores, Origin("model", "hash", method, seed))
    with pytest.raises(UserError, match=words):
        run(monkeypatch, results)
    assert not (results / "items/example").exists()


def reference_items(results: Path, groups: list[PromptGroup], **written) -> pd.DataFrame:
    """The items of a reference model whose rewards are written by `write_rewards`."""
    model = {"other": {"source": "local", "path": "models/other"}}
    experiment = EXPERIMENT.model_validate(EXPERIMENT.model_dump() | {"reference_models": model})
    files = score_files(experiment, results, "example")
    write_rewards(files["other", None], groups, **written)
    scored = collect_scores(experiment, files, groups)["other", None]
    return scored_items(REWARDBENCH, groups, scored, [])


def test_a_reference_model_is_a_run_whose_cut_texts_are_counted(results: Path) -> None:
    groups, _ = local_groups(REWARDBENCH, ROOT / "examples/benchmark.jsonl")
    items = reference_items(results, groups, cut=3)
    assert items["rewards"].tolist() == [[1.0, 0.0]] * len(groups)
    assert items["truncated"].sum() == 2  # both responses of one prompt, and one of the next


def test_what_a_reference_model_could_not_score_is_left_out(results: Path) -> None:
    groups, _ = local_groups(REWARDBENCH, ROOT / "examples/benchmark.jsonl")
    bad = groups[4].group_id
    items = reference_items(results, groups, left_out={bad: "it spells a control token"})
    assert len(items) == len(groups) and len(counted(items)) == len(groups) - 1
    assert items.set_index("id").loc[bad, "left_out"] == "it spells a control token"
    with pytest.raises(UserError, match="'nobody' is not among the groups"):
        reference_items(results, groups, left_out={"nobody": "it spells a control token"})
