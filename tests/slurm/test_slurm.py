"""The experiment on a real SLURM: whole, on two nodes, and with what clusters do to jobs."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steps.files import read_json
from tests.pipeline_runs import fresh_tree
from tests.slurm.trees import LOG, TRAIN, Tree, local_run, wait_until

pytestmark = pytest.mark.slurm
STOPPED = "stopped when asked to"


def scontrol(*words: str) -> None:
    subprocess.run(["scontrol", *words], check=True)


def sbatch_sleep(tree: Tree) -> str:
    """Return the id of a job in the tree's folder that no rule asked for."""
    command = ["sbatch", "--parsable", "--mem=100", "--output=/dev/null", "--wrap=sleep 7200"]
    result = subprocess.run(command, cwd=tree.folder, capture_output=True, text=True, check=True)
    return result.stdout.strip()


def test_a_whole_run_ends_with_the_bytes_of_a_local_one(local: Tree, tmp_path) -> None:
    tree = Tree(fresh_tree(tmp_path / "tree"))
    tree.write_experiment()
    tree.write_cluster()
    tree.finish(tree.start())
    assert tree.tables() == local.tables()
    jobs = {job["comment"] for job in tree.jobs("all")}
    assert TRAIN in jobs
    assert not any("download" in job for job in jobs)  # nodes may have no way out
    assert "rule_tables_draw_figures_draw_tables_evaluate" in jobs  # one job for three rules


def test_two_nodes_train_what_one_process_trains(cached: Tree, local: Tree) -> None:
    """Cancelled once on the way: both processes save, and go on together."""
    cached.write_cluster(nodes=2)
    controller = cached.start()
    job = cached.wait_for_training(controller)
    assert job["nodes"] == "n[1-2]"
    subprocess.run(["scancel", job["id"]], check=True)
    cached.finish(controller)
    assert STOPPED in cached.slurm_logs()
    assert_same_losses(cached, local)


def test_two_nodes_share_a_model_that_one_process_trains(cluster, tmp_path: Path) -> None:
    """Adapters on all layers, half of the model on each node (FSDP), some twenty steps."""
    one = Tree(fresh_tree(tmp_path / "one"))
    one.write_experiment(mode="lora", trained_layers=None, epochs=5)
    local_run(one, LOG)
    two = Tree(tmp_path / "two")
    shutil.copytree(one.folder, two.folder, symlinks=True)
    for part in ("models", "training"):
        shutil.rmtree(two.results / part)
    two.write_cluster(nodes=2, fsdp=True)
    two.finish(two.start(target=LOG))
    (job,) = (job for job in two.jobs("all") if job["comment"] == TRAIN)
    assert job["nodes"] == "n[1-2]"
    assert read_json(two.results / "cards/train-icrm-seed0.json")["machine"]["processes"] == 2
    assert_same_losses(two, one)


def test_a_training_that_everything_happens_to_ends_with_the_same_bytes(
    cached: Tree, local: Tree
) -> None:
    """Killed for its memory, at its time limit, cancelled, and by the loss of its node."""
    cached.write_cluster(snakemake_mb=200)
    cached.plan(mem_mb=300)
    controller = cached.start()
    first = cached.wait_for_training(controller)
    assert "exceeded memory limit" in cached.slurm_logs()  # SLURM's words on the attempts before

    scontrol("update", f"jobid={first['id']}", "timelimit=1")
    second = cached.wait_for_training(controller, after=first)
    assert cached.slurm_logs().count(STOPPED) == 1

    subprocess.run(["scancel", second["id"]], check=True)
    third = cached.wait_for_training(controller, after=second)
    assert cached.slurm_logs().count(STOPPED) == 2

    node = f"nodename={third['nodes']}"
    scontrol("update", node, "state=down", "reason=test")
    try:
        wait_until(lambda: moved(cached, third), "move to the other node", controller, cached)
        cached.finish(controller)
    finally:
        scontrol("update", node, "state=resume")
    assert cached.tables() == local.tables()


def test_one_command_goes_on_after_the_controller_died(cached: Tree, local: Tree) -> None:
    cached.write_cluster()
    own = sbatch_sleep(cached)  # of the user, in the same folder
    controller = cached.start()
    job = cached.wait_for_training(controller)
    assert cached.start("slurm/resume").wait() == 1
    assert f"error: Snakemake runs in {cached.folder}, process {controller.pid}" in cached.log()
    assert job["id"] in ids(cached)
    controller.kill()
    controller.wait()
    assert job["id"] in ids(cached)  # it outlives its controller
    cached.finish(cached.start("slurm/resume"))
    assert own in ids(cached)
    subprocess.run(["scancel", own], check=True)
    ended = {j["id"]: j["state"] for j in cached.jobs("all") if j["comment"] == TRAIN}
    assert ended.pop(job["id"]) == "CANCELLED"
    assert list(ended.values()) == ["COMPLETED"]
    assert cached.tables() == local.tables()
    again = cached.start()
    cached.finish(again)
    assert "Nothing to be done" in cached.log()


def assert_same_losses(tree: Tree, other: Tree) -> None:
    one, two = (pd.read_csv(each.folder / LOG)[["loss"]] for each in (other, tree))
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-5)


def moved(tree: Tree, job: dict[str, str]) -> bool:
    """Whether the job, or the one that took its place, runs on another node."""
    return any(j["comment"] == TRAIN and j["nodes"] != job["nodes"] for j in tree.jobs())


def ids(tree: Tree) -> list[str]:
    return [job["id"] for job in tree.jobs()]
