"""The declared methods: what they say, what they need, and what is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from steps.config import Experiment
from steps.errors import UserError
from steps.objectives import methods, registry
from steps.objectives.declaration import Method, check_method, load_method
from steps.objectives.ensemble import reduce_rewards
from steps.objectives.needs import check_needs
from steps.objectives.registry import (
    ensemble_base,
    method_names,
    needs_ratings,
    read_declared,
)
from steps.objectives.term import Need
from tests.small_batches import make_objective, with_settings


@pytest.mark.parametrize("name", method_names())
def test_every_method_is_described_and_can_be_built(name: str, experiment: Experiment) -> None:
    method = load_method(name)
    assert method.title and method.description
    assert method.ensemble_of == ensemble_base(name)
    assert method.needs_ratings == needs_ratings(name)
    if method.terms is not None:
        terms = [weighted.term for weighted in method.terms(experiment)]
        assert len({term.name for term in terms}) == len(terms)  # columns of the training log
        assert method.needs_ratings == any(Need.MARGINS in term.needs for term in terms)


def test_titles_are_distinct() -> None:
    titles = [load_method(name).title for name in method_names()]
    assert len(set(titles)) == len(titles)


def test_terms_are_built_afresh(experiment: Experiment) -> None:
    method = load_method("icrm")
    assert method.terms(experiment)[1].term is not method.terms(experiment)[1].term


def test_weights_follow_the_papers(experiment: Experiment) -> None:
    def weights(name: str) -> list[float]:
        return [w.weight for w in load_method(name).terms(experiment)]

    assert weights("icrm") == [0.9, 0.1, 1.0]
    assert weights("grm") == [0.99, 0.01]
    assert weights("grm_release") == [1.0, 1.0]


@pytest.mark.parametrize("name", ["orm", "grm", "grm_release", "icrm"])
def test_labels_decide_the_outcome_loss(name: str, experiment: Experiment) -> None:
    pointwise = with_settings(experiment, training={"labels": "pointwise"})
    for settings, expected in ((experiment, "bradley_terry"), (pointwise, "cross_entropy")):
        objective = make_objective(name, settings)
        assert objective.terms[0].term.name == expected
        check_needs(objective.needs, settings)


def test_registry_imports_nothing_heavy() -> None:
    code = (
        "import sys; from steps.objectives.registry import ensemble_base, method_names; "
        "assert [n for n in method_names() if ensemble_base(n)] == ['orm_ensemble']; "
        "assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_method_sees_only_the_sections_that_it_declares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, experiment: Experiment
) -> None:
    text = (registry.METHODS / "orm_margin.py").read_text()
    (tmp_path / "mine.py").write_text(text.replace('    reads=("bradley_terry",),\n', ""))
    monkeypatch.setattr(registry, "METHODS", tmp_path)
    monkeypatch.setattr(methods, "__path__", [str(tmp_path)])
    with pytest.raises(UserError, match=r"mine\.py: METHOD reads `bradley_terry`.* to its `reads`"):
        load_method("mine").terms(experiment)


def test_unknown_method() -> None:
    with pytest.raises(UserError, match="unknown method 'icmr'; did you mean 'icrm'"):
        load_method("icmr")


def test_plain_values_are_read_from_the_declaration_of_method_only() -> None:
    source = 'X = f(ensemble_of="grm")\nMETHOD = Method(title="t", needs_ratings=not 0)'
    assert read_declared(source, "x.py", "ensemble_of") is None
    assert read_declared(source, "x.py", "needs_ratings") is None
    assert read_declared(source, "x.py", "reads") is None
    source = 'METHOD = Method("t", "d", ensemble_of="grm", needs_ratings=True, reads=("a", "b"))'
    assert read_declared(source, "x.py", "reads") == ("a", "b")
    assert read_declared(source, "x.py", "ensemble_of") == "grm"
    assert read_declared(source, "x.py", "needs_ratings") is True


@pytest.mark.parametrize(
    "method, base, message",
    [
        (Method("t", "d"), None, "x.py: METHOD needs either `terms` or `ensemble_of`"),
        (Method("t", "d", lambda e: [], ensemble_of="orm"), "orm", "x.py: METHOD needs either"),
        (Method("t", "d", ensemble_of="orm"), None, "x.py: write `ensemble_of=.* plain string"),
        (Method("t", "d", ensemble_of="orn"), "orn", "'orn' is not trained; did you mean 'orm'"),
        (Method("t", "d", ensemble_of="orm_ensemble"), "orm_ensemble", "is not trained"),
    ],
)
def test_unusable_declarations(method: Method, base: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_method(method, "x.py", base)


def test_ensemble_reductions_by_hand() -> None:
    rewards = np.array([[1.0, -2.0], [4.0, 0.0], [1.0, 2.0]])
    assert reduce_rewards(rewards, "mean").tolist() == [2.0, 0.0]
    assert reduce_rewards(rewards, "min").tolist() == [1.0, -2.0]
    spread = np.sqrt(2.0), np.sqrt(8 / 3)
    assert reduce_rewards(rewards, "mean_minus_std") == pytest.approx([2 - spread[0], -spread[1]])


@pytest.mark.parametrize("reduce", ["mean", "min", "mean_minus_std"])
def test_an_ensemble_of_one_is_its_member(reduce: str) -> None:
    rewards = np.array([[0.5, -1.0]])
    assert reduce_rewards(rewards, reduce).tolist() == [0.5, -1.0]


PAIRS = {"training": {"labels": "pointwise"}}
DPO = {"grm": {"form": "dpo"}}
FINE_TUNING = {"fine_tuning": {"groups_per_step": 4, "learning_rate": 1e-4}}
OTHER = {"model": {"source": "tiny", "seed": 5}}


@pytest.mark.parametrize(
    "name, settings, message",
    [
        ("orm_margin", PAIRS, "training.labels is pointwise"),
        ("orm_label_smooth", PAIRS, "training.labels is pointwise"),
        ("grm", PAIRS | DPO, "training.labels is pointwise"),
        ("icrm", PAIRS | {"consistency": {"reference_mean": "padded_row"}}, "no opposite response"),
        ("icrm", {"consistency": {"reference_mean": "padded_row"}}, "training.layout: packed"),
        ("grm", DPO | {"generator": {"temperature": 0.7}}, "generator.temperature makes"),
        ("grm", DPO | {"generator": {"top_p": 0.8}}, "generator.top_p makes"),
        ("grm", DPO | {"generator": FINE_TUNING}, "generator.fine_tuning makes"),
        ("grm", DPO | {"generator": OTHER}, "generator.model makes"),
    ],
)
def test_unmet_needs(name: str, settings: dict, message: str, experiment: Experiment) -> None:
    experiment = with_settings(experiment, **settings)
    with pytest.raises(UserError, match=message):
        check_needs(make_objective(name, experiment).needs, experiment)


def test_met_needs(experiment: Experiment) -> None:
    check_needs(frozenset(Need), with_settings(experiment, training=FULL_PADDED))
    same = {"model": experiment.backbone.model_dump()}
    experiment = with_settings(experiment, generator=same, **DPO)
    check_needs(make_objective("grm", experiment).needs, experiment)


FULL_PADDED = {"mode": "full", "trained_layers": None, "layout": "padded"}
