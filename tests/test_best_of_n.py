"""Best-of-N under judges: exact over all draws, against brute force and on constructed rewards."""

import sys
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steps.best_of_n import __main__ as command
from steps.best_of_n.candidates import Candidates, read_candidates
from steps.best_of_n.figures import over_optimisation_figure
from steps.best_of_n.measure import outcome_sums, pick_sums
from steps.best_of_n.picks import joint_picks
from steps.best_of_n.tables import best_of_n_tables
from steps.config import Experiment
from steps.errors import UserError
from steps.evaluate.best_of_n import kl_of_best_of, pick_probabilities
from steps.groups.schema import PromptGroup, Response, write_groups
from steps.policy.judged import JUDGED
from steps.score.schema import Origin
from tests.conftest import ROOT
from tests.test_preferences import write_rewards


def brute_force(first: np.ndarray, second: np.ndarray, drawn: int) -> np.ndarray:
    """Go through all subsets; ties are shared evenly."""
    total = np.zeros((len(first), len(first)))
    subsets = [list(subset) for subset in combinations(range(len(first)), drawn)]
    for subset in subsets:
        top, other = ([i for i in subset if r[i] == r[subset].max()] for r in (first, second))
        for i, j in product(top, other):
            total[i, j] += 1 / (len(top) * len(other))
    return total / len(subsets)


@pytest.mark.parametrize("levels", [1, 2, 3, 1000])  # 1000: hardly a tie
def test_joint_picks_equal_brute_force(levels: int) -> None:
    draw = np.random.default_rng(levels)
    for n in (1, 2, 5, 7):
        first, second = draw.integers(0, levels, (2, n)).astype(float)
        for drawn in range(1, n + 1):
            joint = joint_picks(first, second, drawn)
            np.testing.assert_allclose(joint, brute_force(first, second, drawn), atol=1e-12)
            np.testing.assert_allclose(joint.sum(1), pick_probabilities(first, drawn), atol=1e-12)
            np.testing.assert_allclose(joint.sum(0), pick_probabilities(second, drawn), atol=1e-12)


def test_divergence_of_best_of_n() -> None:
    assert kl_of_best_of(1) == 0
    # Of the pick's quantile, density N u^(N-1): the integral of N u^(N-1) log(N u^(N-1)).
    quantiles = (np.arange(1_000_000) + 0.5) / 1_000_000
    density = 16 * quantiles**15
    assert kl_of_best_of(16) == pytest.approx((density * np.log(density)).mean(), abs=1e-6)


def make_candidates(**methods: list[float]) -> Candidates:
    """One prompt with four responses; the judge likes the later ones."""
    judged = np.array([0.0, 1.0, 2.0, 3.0])
    group = PromptGroup("g0", "test", "all", "Why?", tuple(Response(t) for t in "abcd"))
    return Candidates(
        [group],
        [1, 2, 4],
        {(name, 0): [np.array(rewards)] for name, rewards in methods.items()},
        {"judge": [judged]},
        [np.array([5.0, 6.0, 7.0, 8.0])],
    )


def outcomes(candidates: Candidates, drawn: int) -> list[float]:
    rows = outcome_sums(candidates, [("first", "second")])
    (found,) = (shares[:, 0] for *_, n, shares in rows if n == drawn)
    return found.round(12).tolist()


def test_the_better_reward_model_wins() -> None:
    candidates = make_candidates(first=[0.0, 1.0, 2.0, 3.0], second=[3.0, 2.0, 1.0, 0.0])
    assert outcomes(candidates, 1) == [0, 1, 0, 0.5]  # the same single response
    assert outcomes(candidates, 2) == [1, 0, 0, 1]
    assert outcomes(candidates, 4) == [1, 0, 0, 1]


def test_equal_reward_models_tie() -> None:
    rewards = [2.0, 0.0, 3.0, 1.0]
    assert outcomes(make_candidates(first=rewards, second=rewards), 2) == [0, 1, 0, 0.5]


def test_worth_of_picks() -> None:
    candidates = make_candidates(first=[0.0, 1.0, 2.0, 3.0], second=[3.0, 2.0, 1.0, 0.0])
    sums = pick_sums(candidates)
    values = (sums["numerator"] / sums["denominator"]).round(12)
    keys = ["metric", "method", "drawn"]
    worth = values.groupby([sums[key] for key in keys]).first()
    assert worth["score", "first", 4] == 3
    highest_of_two = (1 + 2 + 3 + 2 + 3 + 3) / 6
    assert worth["score", "oracle", 2] == worth["score", "first", 2]
    assert worth["score", "first", 2] == pytest.approx(highest_of_two)
    assert worth["score", "random", 4] == 1.5
    assert worth["score", "longest", 4] == 3
    assert worth["n_tokens", "shortest", 4] == 5
    spread = np.std([0, 1, 2, 3])
    assert worth["gain", "first", 1] == worth["reward_gain", "second", 1] == 0
    assert worth["gain", "second", 4] == pytest.approx(-1.5 / spread)
    assert worth["reward_gain", "second", 4] == pytest.approx(1.5 / spread)


def test_a_judge_without_any_preference_shows_no_gain(experiment: Experiment) -> None:
    candidates = make_candidates(orm=[0.0, 1.0, 2.0, 3.0])
    candidates.judges["judge"][0][:] = 0  # not one of the answers is right
    scores = best_of_n_tables(candidates, experiment)["scores.csv"]
    assert scores.loc[scores["metric"] == "gain", "value"].isna().all()
    assert (scores.loc[scores["metric"] == "score", "value"] == 0).all()
    (panel,) = over_optimisation_figure(scores, experiment).axes
    assert [text.get_text().replace("\n", " ") for text in panel.texts] == [
        "'judge' scores all answers to a prompt alike: no gain to draw"
    ]


def graded(name: str, labels: str) -> PromptGroup:
    responses = tuple(
        Response(f"{k}", correct=c == "r", model="reference") for k, c in enumerate(labels)
    )
    return PromptGroup(name, "test", "all", f"Prompt {name}?", responses, answer="7")


GRADED = [graded("g0", "rwww"), graded("g1", "rrww"), graded("g2", "rw")]  # g2 is too small


def write_runs(folder: Path, experiment: Experiment, groups: list[PromptGroup]) -> list[Path]:
    """Write random rewards of every run."""
    draw = np.random.default_rng(0)
    paths = []
    for method, seed in experiment.runs:
        paths.append(folder / f"{method}-seed{seed}.parquet")
        rewards = [draw.normal(size=len(group.responses)).tolist() for group in groups]
        write_rewards(paths[-1], groups, rewards, Origin("model", "0", method, seed))
    return paths


@pytest.fixture
def sampled(tmp_path: Path, experiment: Experiment) -> Path:
    write_groups(tmp_path / "groups.parquet", GRADED)
    write_runs(tmp_path, experiment, GRADED)
    write_judged(tmp_path / "judge.parquet", GRADED)
    return tmp_path


def write_judged(path: Path, groups: list[PromptGroup], slope: float = 1.0) -> None:
    """Write scores that rise by ``slope`` from one response to the next."""
    rows = [
        {"policy": "reference", "group_id": g.group_id, "response": k, "score": slope * k}
        for g in groups
        for k in range(len(g.responses))
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=JUDGED), path)


def run_command_line(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["best_of_n", *map(str, arguments)])
    command.main()


def test_tables_and_figures(sampled: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    given = ["--experiment", ROOT / "config/tiny.yaml"]
    inputs = ["--groups", sampled / "groups.parquet", "--judges", sampled / "judge.parquet"]
    inputs += ["--rewards", *sorted(sampled.glob("*-seed*.parquet"))]
    files = []
    for name in ("first", "second"):
        folder = sampled / name
        run_command_line(monkeypatch, "tables", *given, *inputs, "--output", folder)
        files.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert files[0] == files[1]
    figures = ["--tables", folder, "--output", sampled / "figures", "--card", sampled / "card.json"]
    run_command_line(monkeypatch, "figures", *given, *figures)
    drawn = {path.stem for path in (sampled / "figures").glob("*.png")}
    assert drawn == {"best_of_n_judged", "over_optimisation", "pick_lengths"}
    assert (sampled / "card.json").is_file()

    scores = pd.read_csv(folder / "scores.csv")
    random = scores.query("metric == 'score' and judge == 'exact' and method == 'random'")
    assert random["drawn"].tolist() == [1, 2, 4]
    assert random["value"].tolist() == pytest.approx([3 / 8] * 3, abs=1e-5)
    assert (scores["n"] == 2).all()
    assert set(scores["seeds"]) == {0, 2}
    met = pd.read_csv(folder / "comparisons.csv")
    shares = met.pivot_table(index=["judge", "method", "reference", "drawn"], columns="metric")
    value = shares["value"]
    np.testing.assert_allclose(value["win"] + value["tie"] + value["lose"], 1, atol=1e-5)
    np.testing.assert_allclose(value["win_rate"], value["win"] + value["tie"] / 2, atol=1e-5)
    text = (folder / "best_of_n.md").read_text()
    assert "## Accuracy of the pick (2 prompts)" in text and "## Judge judge (2 prompts)" in text
    cell = scores.query("metric == 'score' and judge == 'exact' and method == 'icrm'").iloc[-1]
    assert f"{cell.value:.3f} [{cell.ci_low:.3f}, {cell.ci_high:.3f}]" in text
    assert "- N = 8 of evaluation.best_of is not shown: no prompt has that many samples" in text
    assert text.count("scores of the picks at N = 4:\n\n- After Holm's correction") == 2
    noted = "N = 8 of evaluation.best_of cannot be drawn, since no prompt has more than 4 responses"
    assert noted in capsys.readouterr().err
    tex = (folder / "best_of_n_comparisons.tex").read_text()
    rows = [line for line in tex.splitlines() if line.startswith("ICRM against ORM & 4")]
    shown = value.loc[("judge", "icrm", "orm", 4)]
    assert f"{shown['win']:.3f} & {shown['tie']:.3f} & {shown['lose']:.3f}" in rows[0]
    assert (folder / "best_of_n.tex").read_text().count(r"\multicolumn{5}{l}{\emph{") == 2
    lengths = pd.read_csv(folder / "pick_lengths.csv")
    np.testing.assert_allclose(lengths.groupby("method")["weight"].sum(), 1, atol=1e-5)


def test_what_cannot_be_judged_is_named(sampled: Path, experiment: Experiment) -> None:
    groups, runs = sampled / "groups.parquet", sorted(sampled.glob("*-seed*.parquet"))
    flat = sampled / "flat.parquet"
    write_judged(flat, GRADED, slope=0.0)
    with pytest.raises(UserError, match=r"flat\.parquet: the judge 'flat' gives all responses"):
        read_candidates(experiment, groups, runs, [flat])
    constant = sampled / "constant.parquet"
    rewards = [[1.0] * len(group.responses) for group in GRADED]
    write_rewards(constant, GRADED, rewards, Origin("model", "0", "orm", 0))
    with pytest.raises(UserError, match=r"constant\.parquet: 'orm' with seed 0 gives all"):
        read_candidates(experiment, groups, [constant], [])
    exact = (sampled / "judge.parquet").rename(sampled / "exact.parquet")
    with pytest.raises(UserError, match="'exact' has a meaning of its own"):
        read_candidates(experiment, groups, runs, [exact])
    plain = [PromptGroup("g0", "test", "all", "Why?", tuple(Response(t) for t in "abcd"))]
    write_groups(groups, plain)
    with pytest.raises(UserError, match=r"groups\.parquet: there is no judge; give --judges"):
        read_candidates(experiment, groups, write_runs(sampled, experiment, plain), [])


def test_rewards_must_be_of_the_experiments_models(sampled: Path, experiment: Experiment) -> None:
    groups, path = sampled / "groups.parquet", sampled / "orm-seed0.parquet"
    with pytest.raises(UserError, match="the same model as"):
        read_candidates(experiment, groups, [path, path], [])
    rewards = [[0.0] * len(group.responses) for group in GRADED]
    write_rewards(path, GRADED, rewards, Origin("another", "0", "orm", 99))
    with pytest.raises(UserError, match="holds the rewards of another, which is no model"):
        read_candidates(experiment, groups, [path], [])
