"""The experiment on a real SLURM: whole, with several processes, and what clusters do to jobs."""

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


def scontrol(*words: str) -> None:
    subprocess.run(["scontrol", *words], check=True)


def sbatch_sleep(tree: Tree, seconds: int, *options: str) -> str:
    """Return the id of a job in the tree's folder that no rule asked for."""
    command = ["sbatch", "--parsable", "--mem=100", "--output=/dev/null", *options]
    command.append(f"--wrap=sleep {seconds}")
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


@pytest.mark.parametrize(("nodes", "processes"), [(2, 1), (1, 2), (2, 2)])
def test_several_processes_train_what_one_trains(
    cached: Tree, local: Tree, nodes: int, processes: int
) -> None:
    """Cancelled once on the way: all of them save, and go on together."""
    cached.write_cluster(nodes=nodes, processes_per_node=processes)
    controller = cached.start()
    job = cached.wait_for_training(controller)
    assert (job["nodes"] == "n[1-2]") == (nodes == 2)
    subprocess.run(["scancel", job["id"]], check=True)
    cached.finish(controller)
    assert cached.saved_when_asked()
    assert len(cached.went_on_from()) == 1
    machine = read_json(cached.results / "cards/train-icrm-seed0.json")["machine"]
    assert machine["processes"] == nodes * processes
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

    # At the limit itself SLURM sends SIGTERM too, and calls the job timed out.
    scontrol("update", f"jobid={first['id']}", f"timelimit={cached.minutes_until_a_limit(first)}")
    second = cached.wait_for_training(controller, after=first)
    assert cached.saved_when_asked()
    assert states(cached)[first["id"]] == "FAILED"

    subprocess.run(["scancel", second["id"]], check=True)
    third = cached.wait_for_training(controller, after=second)
    assert cached.saved_when_asked()

    node = f"nodename={third['nodes']}"
    scontrol("update", node, "state=down", "reason=test")
    try:
        wait_until(lambda: moved(cached, third), "move to the other node", controller, cached)
        cached.finish(controller)
    finally:
        scontrol("update", node, "state=resume")
    # The second job and the third, whose log is that of its second start.
    steps = cached.went_on_from()
    assert len(steps) == 2 and steps == sorted(set(steps)), steps
    assert cached.tables() == local.tables()


def test_a_preempted_training_goes_on(cached: Tree, local: Tree) -> None:
    cached.write_cluster()
    controller = cached.start()
    job = cached.wait_for_training(controller)
    urgent = sbatch_sleep(cached, 5, "--partition=urgent", "--nodes=2", "--exclusive")
    wait_until(lambda: urgent in ids(cached), "job that needs both nodes", controller, cached)
    assert job["id"] not in ids(cached)
    cached.finish(controller)
    assert cached.saved_when_asked()
    assert len(cached.went_on_from()) == 1
    assert cached.tables() == local.tables()


def test_one_command_goes_on_after_the_controller_died(cached: Tree, local: Tree) -> None:
    cached.write_cluster()
    own = sbatch_sleep(cached, 7200)  # of the user, in the same folder
    controller = cached.start()
    job = cached.wait_for_training(controller)
    assert cached.start("slurm/resume").wait() == 1
    assert f"error: Snakemake runs in {cached.folder}, process {controller.pid}" in cached.log()
    assert job["id"] in ids(cached)
    controller.kill()
    controller.wait()
    assert job["id"] in ids(cached)  # it outlives its controller
    cached.finish(cached.start("slurm/resume"))
    assert cached.saved_when_asked()
    assert own in ids(cached)
    subprocess.run(["scancel", own], check=True)
    ended = states(cached)
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


def states(tree: Tree) -> dict[str, str]:
    """The state of each job of the training, by its id."""
    return {job["id"]: job["state"] for job in tree.jobs("all") if job["comment"] == TRAIN}
