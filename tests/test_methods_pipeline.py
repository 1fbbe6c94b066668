"""Every method of the registry, trained and scored by the real Snakemake, to tables and figures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steps.config import load_experiment
from steps.objectives.declaration import load_method
from steps.objectives.ensemble import reduce_rewards
from steps.objectives.registry import method_names
from steps.score.schema import read_scores
from tests.conftest import ROOT
from tests.pipeline_runs import fresh_tree, run

EXPERIMENT = load_experiment(ROOT / "config/methods.yaml")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fresh_tree(tmp_path_factory.mktemp("methods"))
    result = run(folder, experiment="methods")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_every_method_has_a_row_and_its_number_of_runs(tree: Path) -> None:
    assert sorted(EXPERIMENT.methods) == method_names()
    results = tree / "results/methods"
    table = pd.read_csv(results / "tables/main.csv")
    rows = table[(table["eval_set"] == "all") & (table["metric"] == "pair_accuracy")]
    runs = rows.set_index("method")["seeds"]
    expected = {m: len(EXPERIMENT.seeds_of(m)) for m in EXPERIMENT.methods}
    assert runs[EXPERIMENT.methods].to_dict() == expected
    text = (results / "tables/main.md").read_text()
    lines = {x.split("|")[1].strip(): x for x in text.splitlines() if x.startswith("|")}
    for method in EXPERIMENT.methods:
        line = lines[load_method(method).title]
        assert ("†" in line) == (expected[method] == 1)
    for name in ("best_of_n", "token_rewards", "training_curves"):
        assert (results / f"figures/{name}.png").is_file()


def test_the_ensemble_is_the_reduction_of_its_members(tree: Path) -> None:
    results = tree / "results/methods"
    assert not (results / "models/orm_ensemble").exists()
    assert (results / "cards/score-orm_ensemble.json").is_file()
    for name in EXPERIMENT.evaluation_sets:
        joined = read_scores(results / f"scores/orm_ensemble/seed0/{name}.parquet")
        members = [read_scores(results / f"scores/orm/seed{k}/{name}.parquet") for k in (0, 1)]
        for column in ("reward", "token_rewards"):
            stacked = np.stack([np.hstack(member[column]) for member in members])
            reduced = reduce_rewards(stacked.astype(np.float64), EXPERIMENT.ensemble.reduce)
            assert np.hstack(joined[column]) == pytest.approx(reduced, rel=1e-6, abs=1e-7)


def test_the_members_of_an_ensemble_are_planned_though_they_are_not_listed(tree: Path) -> None:
    text = (tree / "config/methods.yaml").read_text()
    start, end = text.index("  - orm\n"), text.index("seeds:")
    (tree / "config/alone.yaml").write_text(f"{text[:start]}  - orm_ensemble\n{text[end:]}")
    plan = run(tree, "--dry-run", experiment="alone").stdout
    for name, jobs in {"train": 2, "score": 2, "score_ensemble": 1}.items():
        assert f"\n{name} {jobs}" in "\n".join(" ".join(x.split()) for x in plan.splitlines()), plan
