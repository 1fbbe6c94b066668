"""The whole tiny experiment under DVC; takes minutes, so it is marked (`make test-dvc`)."""

import json
from pathlib import Path

import pytest

from tests.dvc_repository import change, commit, dvc, make_repository, snakemake
from tests.pipeline_runs import contents, fresh_tree, run
from tests.test_dvc import NOTHING_TO_DO, UP_TO_DATE, runs


@pytest.mark.dvc
def test_dvc_and_snakemake_make_the_same_and_know_it(tmp_path: Path) -> None:
    folder, other = make_repository(tmp_path / "dvc"), tmp_path / "snakemake"
    dvc(folder, "repro")
    commit(folder)
    assert UP_TO_DATE in dvc(folder, "status")
    other.mkdir()
    assert run(fresh_tree(other)).returncode == 0
    assert contents(folder) == contents(other)

    snakemake(folder, "--touch", "--forceall")
    assert NOTHING_TO_DO in snakemake(folder, "--dry-run")
    assert UP_TO_DATE in dvc(folder, "status")

    change(folder / "config/tiny.yaml", "best_of: [1, 2, 4, 8]", "best_of: [1, 2, 4]")
    again = {"parameters", "evaluate", "draw_tables", "draw_figures", "benchmark_numbers-example"}
    assert runs(dvc(folder, "repro")) == again
    assert "evaluation.best_of" in dvc(folder, "params", "diff")
    shown = json.loads(dvc(folder, "metrics", "diff", "--json"))
    (numbers,) = shown.values()
    assert "out_of_distribution.icrm.best_of_8" in numbers
    assert "out_of_distribution.icrm.best_of_4" not in numbers
    dvc(folder, "plots", "show", "--out", "plots")
    page = (folder / "plots/index.html").read_text()
    assert "training loss" in page and "best_of_n.png" in page
