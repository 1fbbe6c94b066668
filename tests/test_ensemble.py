"""Ensembles: which runs an experiment has, and the scores that are joined from the members'."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steps.config import Experiment
from steps.errors import UserError
from steps.score.ensemble import SHARED, main
from steps.score.schema import read_origin, read_scores, write_scores
from tests.conftest import ROOT
from tests.synthetic_scores import make_group, make_scores, origin_of

SETS = ("one", "two")


def test_an_ensemble_is_one_run_and_its_members_are_trained(experiment: Experiment) -> None:
    def with_methods(*methods: str) -> Experiment:
        return experiment.model_copy(update={"methods": [*methods], "seeds": [3, 1]})

    both = with_methods("orm", "orm_ensemble", "icrm")
    assert both.runs == [
        *(("orm", 3), ("orm", 1)),
        ("orm_ensemble", 3),
        *(("icrm", 3), ("icrm", 1)),
    ]
    assert both.trained_methods == ["orm", "icrm"]
    alone = with_methods("orm_ensemble", "icrm")
    assert alone.runs == [("orm_ensemble", 3), ("icrm", 3), ("icrm", 1)]
    assert alone.trained_methods == ["icrm", "orm"]


@pytest.fixture
def members(tmp_path: Path) -> list[Path]:
    """Three models' scores of the same responses."""
    folders = [tmp_path / "scores/orm" / f"seed{seed}" for seed in range(3)]
    for name, words in zip(SETS, (5, 9), strict=True):
        groups = [make_group(f"{name}-{k}", "c", 4, words) for k in range(3)]
        shared = make_scores(groups, 1.0, np.random.default_rng(0))
        for seed, folder in enumerate(folders):
            own = make_scores(groups, 1.0, np.random.default_rng(seed))
            scores = own.assign(**shared[[*SHARED]])
            write_scores(folder / f"{name}.parquet", scores, origin_of("orm", seed))
    return folders


def run(monkeypatch: pytest.MonkeyPatch, folders: list[Path], output: Path, reduce: str) -> None:
    text = (ROOT / "config/tiny.yaml").read_text()
    yaml = output.parent / "experiment.yaml"
    yaml.write_text(text + f"\nensemble: {{reduce: {reduce}}}\n")
    arguments = ["--experiment", yaml, "--members", *folders, "--sets", *SETS]
    arguments += ["--method", "orm_ensemble", "--output", output]
    arguments += ["--card", output.parent / "card.json"]
    monkeypatch.setattr(sys, "argv", ["ensemble", *map(str, arguments)])
    main()


@pytest.mark.parametrize(
    ("reduce", "by_hand"),
    [
        ("mean", lambda values: sum(values) / 3),
        ("min", min),
        ("mean_minus_std", lambda values: np.mean(values) - np.std(values)),
    ],
)
def test_rewards_are_reduced_token_by_token(
    monkeypatch, members: list[Path], tmp_path: Path, reduce: str, by_hand
) -> None:
    run(monkeypatch, members, tmp_path / "joined", reduce)
    for name in SETS:
        joined = read_scores(tmp_path / "joined" / f"{name}.parquet")
        origin = read_origin(tmp_path / "joined" / f"{name}.parquet")
        assert (origin.method, origin.seed) == ("orm_ensemble", 0)
        parts = [read_scores(folder / f"{name}.parquet") for folder in members]
        pd.testing.assert_frame_equal(joined[[*SHARED]], parts[0][[*SHARED]])
        for row in range(len(joined)):
            finals = [part["reward"][row] for part in parts]
            assert joined["reward"][row] == pytest.approx(by_hand(finals), abs=1e-6)
            tokens = zip(*(part["token_rewards"][row] for part in parts), strict=True)
            expected = [by_hand(values) for values in tokens]
            assert joined["token_rewards"][row] == pytest.approx(expected, abs=1e-6)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["settings"]["reduce"] == reduce
    assert len(card["inputs"]) == 6 and len(card["outputs"]) == 2


def fewer_responses(scores: pd.DataFrame) -> pd.DataFrame:
    return scores.iloc[:-1]


def other_response(scores: pd.DataFrame) -> pd.DataFrame:
    return scores.assign(response=scores["response"].where(scores.index != 3, 9))


def other_generator(scores: pd.DataFrame) -> pd.DataFrame:
    return scores.assign(token_log_probs=[values * 2 for values in scores["token_log_probs"]])


def other_tokens(scores: pd.DataFrame) -> pd.DataFrame:
    return scores.assign(token_ends=[ends + 1 for ends in scores["token_ends"]])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (fewer_responses, r"two\.parquet has 11 responses, .*seed0.two\.parquet has 12; run the"),
        (other_response, r"two\.parquet: row 3: response differs from that of .*seed0"),
        (other_generator, r"two\.parquet: row 0: token_log_probs differs"),
        (other_tokens, r"two\.parquet: row 0: token_ends differs"),
    ],
)
def test_members_of_other_responses_or_tokens_are_refused(
    monkeypatch, members: list[Path], tmp_path: Path, change, words: str
) -> None:
    path = members[1] / "two.parquet"
    write_scores(path, change(read_scores(path)), read_origin(path))
    with pytest.raises(UserError, match=words):
        run(monkeypatch, members, tmp_path / "joined", "mean")
    assert not (tmp_path / "joined").exists()


def test_one_member_is_no_ensemble(monkeypatch, members: list[Path], tmp_path: Path) -> None:
    for given in (members[:1], [members[0], members[1], members[0]]):
        with pytest.raises(UserError, match="at least two models, each once"):
            run(monkeypatch, given, tmp_path / "joined", "mean")
