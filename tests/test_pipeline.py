"""The tiny experiment through the real Snakemake: whole, repeated, and killed at several points."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from steps.benchmarks.items import read_items
from steps.benchmarks.rewardbench import REWARDBENCH
from steps.dvc.graph import plan_jobs
from steps.provenance.ancestry import MADE, ancestry, hash_on_disk, read_steps
from tests.pipeline_runs import command, contents, fresh_tree, run

# What the next kill waits for: the run is then inside the stage that follows.
KILL_WHEN = [
    "resources/models/tiny-16x3-seed0/config.json",
    "results/tiny/unfinished/cache-train",
    "results/tiny/cache/train/meta.json",
    "results/tiny/training/icrm/seed0.csv",
    "results/tiny/scores/orm/seed0/in_distribution.parquet",
    "results/tiny/evaluation",
]


# In the environment of every run; nothing that it writes may hold them.
SECRETS = {
    "HF_TOKEN": "hf_zqNotToBeWrittenAnywhere",
    "AWS_ACCESS_KEY_ID": "AKIAQZNOTTOBEWRITTEN",
    "AWS_SECRET_ACCESS_KEY": "zqNotToBeWrittenAnywhereEither",
    "PIP_INDEX_URL": "https://somebody:zqPasswordOfTheIndex@127.0.0.1:9/simple",
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fresh_tree(tmp_path_factory.mktemp("undisturbed"))
    result = run(folder, environment=os.environ | SECRETS)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_the_run_leaves_every_fixed_name(undisturbed: Path) -> None:
    results = undisturbed / "results/tiny"
    header = (results / "tables/main.csv").read_text().splitlines()[0]
    assert header == "method,eval_set,metric,value,ci_low,ci_high,n,seeds,t_half_width"
    for method in ("orm", "grm_release", "icrm"):
        for seed in (0, 1):
            for name in ("in_distribution", "out_of_distribution", "first_wrong_step"):
                assert (results / f"scores/{method}/seed{seed}/{name}.parquet").is_file()
    for suffix in ("csv", "md", "tex"):
        assert (results / f"tables/benchmark_example.{suffix}").is_file()
    items = read_items(results / "benchmarks/items/example/icrm/seed1.parquet", REWARDBENCH)
    assert len(items) == 18
    cards = {path.stem for path in (results / "cards").glob("*.json")}
    assert {"download-tiny-16x3-seed0", "cache-train", "train-icrm-seed1", "evaluate"} <= cards
    steps = ("groups", "cache", "items", "numbers")
    assert {f"benchmark-{step}-example" for step in steps} <= cards
    assert "benchmark-score-icrm-seed1" in cards


def test_every_output_leads_back_to_its_origin(
    undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cards name all that the rules declare, and what lies there is what they name."""
    monkeypatch.chdir(undisturbed)
    hash_on_disk.cache_clear()
    steps = read_steps()
    cards = {step.card: step for step in steps}
    for job in plan_jobs("tiny"):
        card, outputs = cards[job.card], [path for path in job.outputs if path != job.card]
        for declared, named in ((job.inputs, card.inputs), (outputs, card.outputs)):
            for path in map(Path, declared):
                assert any(path.is_relative_to(n) or Path(n).is_relative_to(path) for n in named)
        for path in map(Path, outputs):
            assert ancestry(path, steps).problems() == []
        assert card.facts["experiment"]["title"].startswith("Tiny"), job.name
        tokens = card.facts["step"] in ("cache", "train", "score")
        assert not tokens or card.facts["tokens"] > 0
    # By the very same name: only then is what a step reads compared with what was written.
    made = {path for step in steps for path in step.outputs}
    assert {p for step in steps for p in step.inputs if Path(p).parts[0] in MADE} <= made
    table = ancestry(Path("results/tiny/tables/main.csv"), steps)
    assert table.steps[-1].facts["step"] in ("download", "prepare")
    assert set(table.given) == {"examples/benchmark.jsonl", "config/published_scores.yaml"}


@pytest.fixture(scope="module")
def report(undisturbed: Path) -> str:
    result = run(undisturbed, "--report", "report.html", environment=os.environ | SECRETS)
    assert result.returncode == 0, result.stdout + result.stderr
    return (undisturbed / "report.html").read_text()


def test_the_report_holds_every_table_and_figure(undisturbed: Path, report: str) -> None:
    _, _, data = report.partition("    var results = {")
    shown, _ = json.JSONDecoder().raw_decode("{" + data)
    results = undisturbed / "results/tiny"
    files = [*results.glob("tables/*.csv"), *results.glob("figures/*.png")]
    assert shown.keys() == {str(file.relative_to(undisturbed)) for file in files}
    for path, entry in shown.items():
        assert entry["caption"] and entry["data_uri"], path


def test_no_secret_of_the_environment_is_written(undisturbed: Path, report: str) -> None:
    words = [value.encode() for value in (*SECRETS.values(), "zqPasswordOfTheIndex")]
    for file in (path for path in undisturbed.rglob("*") if path.is_file()):
        content = file.read_bytes()
        assert not any(word in content for word in words), file


def test_a_second_run_has_nothing_to_do(undisturbed: Path) -> None:
    result = run(undisturbed)
    assert "Nothing to be done" in result.stdout + result.stderr


def test_another_experiment_takes_the_model_that_is_there(undisturbed: Path) -> None:
    plan = run(undisturbed, "--dry-run", experiment="methods").stdout
    assert "\ntrain " in plan and "download_model" not in plan


@pytest.mark.parametrize(
    ("experiment", "rules"),
    [
        ("gemma2b_uf40k_policy", ["release_prompts", "train_policy", "draw_policies"]),
        ("llama3_8b_skywork_policy", ["release_prompts", "score_samples", "draw_best_of_n"]),
        ("qwen1_5b_math", ["problems", "sample_solutions", "train", "draw_tables"]),
    ],
)
def test_a_dry_run_shows_the_whole_plan_of_the_papers_experiments(
    tmp_path: Path, experiment: str, rules: list[str]
) -> None:
    result = run(fresh_tree(tmp_path), "--dry-run", experiment=experiment)
    assert result.returncode == 0, result.stdout + result.stderr
    for rule in rules:
        assert f"\n{rule} " in result.stdout, result.stdout


def test_a_model_is_exported_with_its_scores(undisturbed: Path) -> None:
    result = run(undisturbed, "results/tiny/exports/icrm/seed1")
    assert result.returncode == 0, result.stdout + result.stderr
    card = (undisturbed / "results/tiny/exports/icrm/seed1/README.md").read_text()
    assert "| in distribution | pair accuracy | " in card and "Seed 1." in card


def test_an_export_reads_the_guide_that_its_card_quotes(tmp_path: Path) -> None:
    (fresh_tree(tmp_path) / "docs/methods.md").unlink()
    result = run(tmp_path, "results/tiny/exports/icrm/seed1", "--dry-run")
    assert re.search(r"Missing input files for rule export.*docs/methods\.md", result.stdout, re.S)


def test_a_changed_setting_reruns_what_depends_on_it(undisturbed: Path) -> None:
    path = undisturbed / "config/tiny.yaml"
    before = path.read_text()
    path.write_text(before.replace("learning_rate: 3e-3", "learning_rate: 2e-3"))
    plan = run(undisturbed, "--dry-run").stdout
    path.write_text(before)
    for rule in ("train", "score", "evaluate", "draw_tables"):
        assert f"\n{rule} " in plan, plan
    for rule in ("cache", "make_pairs", "prepare_groups", "download_model"):
        assert f"\n{rule} " not in plan, plan


def test_a_changed_section_retrains_only_the_methods_that_read_it(undisturbed: Path) -> None:
    path = undisturbed / "config/tiny.yaml"
    before = path.read_text()
    path.write_text(f"{before}consistency: {{weight: 0.2}}\n")
    # The profile keeps each job's description quiet.
    plan = run(undisturbed, "--dry-run", "--quiet", "host").stdout
    path.write_text(before)
    retrained = re.findall(r"^rule train:.*?wildcards: method=(\w+)", plan, re.M | re.S)
    assert set(retrained) == {"icrm"}, plan


def test_a_reference_model_gets_the_rewards_that_it_has_here(
    undisturbed: Path, tmp_path: Path
) -> None:
    """One of the run's own models, as that of somebody else."""
    folder = tmp_path / "tree"
    shutil.copytree(undisturbed, folder, symlinks=True)
    shutil.copytree(folder / "results/tiny/models/orm/seed0", tmp_path / "theirs")
    config = folder / "config/tiny.yaml"
    entry = f"reference_models: {{theirs: {{source: local, path: {tmp_path / 'theirs'}}}}}\n"
    config.write_text(config.read_text() + entry)
    result = run(folder, "tables", "--rerun-triggers", "mtime", "input")
    assert result.returncode == 0, result.stdout + result.stderr
    items = folder / "results/tiny/benchmarks/items/example"
    theirs, ours = (
        np.array(read_items(items / name, REWARDBENCH)["rewards"].tolist())
        for name in ("theirs.parquet", "orm/seed0.parquet")
    )
    assert theirs == pytest.approx(ours, abs=1e-5)
    assert "\n| theirs " in (folder / "results/tiny/tables/main.md").read_text()


def test_killed_runs_end_with_the_same_bytes(undisturbed: Path, tmp_path: Path) -> None:
    folder = fresh_tree(tmp_path)
    for number, awaited in enumerate(KILL_WHEN):
        process = subprocess.Popen(
            command("--rerun-incomplete"),
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 240
        while not (folder / awaited).exists():
            assert process.poll() is None, f"the run ended before {awaited} was there"
            assert time.monotonic() < deadline, f"{awaited} did not appear"
            time.sleep(0.02)
        time.sleep(0.3 * number)  # not always at a stage's first moment
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert run(folder, "--unlock").returncode == 0
    result = run(folder, "--rerun-incomplete")
    assert result.returncode == 0, result.stdout + result.stderr
    assert contents(folder) == contents(undisturbed)
    left = list(folder.rglob("*.part"))
    assert not left


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["experimnet=tiny"], "did you mean 'experiment'"),
        (["experiment=tyni"], "did you mean 'tiny'"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    folder = fresh_tree(tmp_path)
    base = [sys.executable, "-m", "snakemake", "--cores", "1", "-n", "--config", *arguments]
    result = subprocess.run(base, cwd=folder, capture_output=True, text=True)
    assert result.returncode != 0
    assert words in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_torchrun_trains_what_one_process_trains(undisturbed: Path, tmp_path: Path) -> None:
    """The command of docs/training.md, with the arguments of the rule."""
    results = undisturbed / "results/tiny"
    arguments = {
        "experiment": undisturbed / "config/tiny.yaml",
        "backbone": undisturbed / "resources/models/tiny-16x3-seed0",
        "groups": results / "groups/train.parquet",
        "pairs": results / "pairs/train.parquet",
        "cache": results / "cache/train",
        "frozen": results / "models/frozen.safetensors",
        "output": tmp_path / "model",
        "training-log": tmp_path / "log.csv",
        "method": "icrm",
        "seed": 0,
    }
    given = [part for name, value in arguments.items() for part in (f"--{name}", str(value))]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    child = subprocess.run(
        [*launch, "-m", "steps.train", "model", *given],
        cwd=undisturbed,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    shard = "model-00002-of-00002.safetensors"
    one, two = (load_file(f / shard) for f in (results / "models/icrm/seed0", tmp_path / "model"))
    assert one.keys() == two.keys()
    assert all((one[name] - two[name]).abs().max() < 1e-4 for name in one)
