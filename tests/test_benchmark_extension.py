"""Benchmarks of an experiment that extends another one, whose reward models they score."""

import re
import shutil
from pathlib import Path

import pytest
from snakemake.exceptions import WorkflowError

from steps.benchmarks.rebuild import rebuild, write_rows
from steps.benchmarks.rewardbench_subsets import REBUILT
from steps.config.workflow import read_experiment
from steps.dvc.graph import plan_jobs
from tests.benchmark_sources import write_sources
from tests.pipeline_runs import fresh_tree, run

NAME = "quickstart_benchmarks"
ROWS = Path("resources/rewardbench_offline.jsonl.gz")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A working tree with the sources of the benchmark's rows."""
    folder = fresh_tree(tmp_path / "tree")
    write_sources(folder)
    return folder


def planned(tree: Path) -> tuple[str, dict[str, str]]:
    """What Snakemake prints of its plan, and the number of jobs of each rule."""
    result = run(tree, "--dry-run", "--quiet", "host", experiment=NAME)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout, dict(re.findall(r"^(\w+) +(\d+)$", result.stdout, re.M))


def test_its_benchmarks_are_planned_on_the_models_of_the_other(tree: Path) -> None:
    printed, jobs = planned(tree)
    assert {"draw_benchmarks", "benchmark_items", "cache_benchmark"} <= jobs.keys()
    assert jobs["rebuild_benchmark"] == "1"
    # Every model of the quickstart is scored, once for its own sets and once for the benchmark.
    assert jobs["train"] == jobs["score"] == jobs["score_benchmarks"] == "9"
    inputs = re.findall(r"^rule score_benchmarks:\n +input: (\S+),", printed, re.M)
    assert "results/quickstart/models/icrm/seed0" in inputs
    assert f"results/{NAME}/tables/benchmark_offline.md" in printed
    assert f"results/{NAME}/tables/main.md" not in printed


def test_its_rows_are_rebuilt_by_a_rule_with_the_bytes_of_the_command(
    tree: Path, tmp_path: Path
) -> None:
    result = run(tree, str(ROWS), experiment=NAME)
    assert result.returncode == 0, result.stdout + result.stderr
    folders = [tree / "resources" / name for name in ("llmbar", "humanevalpack")]
    write_rows(tmp_path / "rows.jsonl.gz", rebuild(folders, list(REBUILT)))
    assert (tree / ROWS).read_bytes() == (tmp_path / "rows.jsonl.gz").read_bytes()
    # Once made they need no source.
    for folder in folders:
        shutil.rmtree(folder)
    assert "rebuild_benchmark" not in planned(tree)[1]


def test_dvc_has_the_stage_too(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    (job,) = (job for job in plan_jobs(NAME) if job.name.startswith("rebuild_benchmark"))
    assert job.inputs == [f"resources/{n}/pairs.jsonl.gz" for n in ("llmbar", "humanevalpack")]
    assert job.outputs == [str(ROWS), f"{ROWS}.card.json"]
    assert job.command.startswith(
        "python -m steps.benchmarks.rebuild --folders resources/llmbar resources/humanevalpack "
    )


def test_without_its_sources_the_plan_says_what_to_put_where(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(tree / "resources/humanevalpack")
    monkeypatch.chdir(tree)
    with pytest.raises(WorkflowError) as error:
        read_experiment({"experiment": NAME})
    said = str(error.value)
    missing = "resources/humanevalpack/pairs.jsonl.gz is not there; put or link there the pairs"
    assert f"benchmarks.offline.rebuild.folders: {missing}" in said
    assert "github.com/bigcode-project/octopack" in said and "\n" not in said
