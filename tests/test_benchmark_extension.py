"""Benchmarks of an experiment that extends another one, whose reward models they score."""

import re
from pathlib import Path

import pytest
from snakemake.exceptions import WorkflowError

from steps.config.workflow import read_experiment
from tests.pipeline_runs import fresh_tree, run

NAME = "quickstart_benchmarks"
ROWS = Path("resources/rewardbench_offline.jsonl.gz")


def test_its_benchmarks_are_planned_on_the_models_of_the_other(tmp_path: Path) -> None:
    folder = fresh_tree(tmp_path)
    (folder / ROWS).parent.mkdir()
    (folder / ROWS).touch()
    result = run(folder, "--dry-run", "--quiet", "host", experiment=NAME)
    assert result.returncode == 0, result.stdout + result.stderr
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", result.stdout, re.M))
    assert {"draw_benchmarks", "benchmark_items", "cache_benchmark"} <= jobs.keys()
    # Every model of the quickstart is scored, once for its own sets and once for the benchmark.
    assert jobs["train"] == jobs["score"] == jobs["score_benchmarks"] == "9"
    inputs = re.findall(r"^rule score_benchmarks:\n +input: (\S+),", result.stdout, re.M)
    assert "results/quickstart/models/icrm/seed0" in inputs
    assert f"results/{NAME}/tables/benchmark_offline.md" in result.stdout
    assert f"results/{NAME}/tables/main.md" not in result.stdout


def test_without_its_rows_the_plan_says_how_to_make_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fresh_tree(tmp_path))
    with pytest.raises(WorkflowError) as error:
        read_experiment({"experiment": NAME})
    said = str(error.value)
    assert f"benchmarks.offline.path: {ROWS} is not there; make it as docs/benchmarks.md" in said
    assert "\n" not in said
