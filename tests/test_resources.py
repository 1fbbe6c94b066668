"""What the rules ask of a cluster."""

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest
import yaml

from steps.config.cluster import FILE, Cluster, RuleNumbers, read_cluster
from steps.config.cluster_rules import CPU_RULES, LISTENING, LOADING, MODEL_RULES, TRAININGS
from steps.config.resources import read_plan, rule_resources, settings_hash
from steps.errors import UserError
from steps.files import write_json
from tests.conftest import ROOT

FIXED = 1 + 3  # minutes of rules that listen: to start, and to save in 120 s with one more
LAB = Cluster(memory_mb=1000, memory_factor=1.5, runtime_factor=2.0, snakemake_mb=100)


def asked(rule: str, experiment, cluster: Cluster = LAB, planned: dict | None = None) -> dict:
    """The resources of a rule's second attempt."""
    given = rule_resources(rule, experiment, cluster, planned or {})
    return {k: v(None, attempt=2) if callable(v) else v for k, v in given.items()}


@pytest.mark.parametrize("rule", [*MODEL_RULES, *CPU_RULES])
def test_only_rules_that_run_a_model_ask_for_a_gpu(rule: str, experiment) -> None:
    cluster = LAB.model_copy(
        update={"gpu_partition": "gpu", "cpu_partition": "cpu", "gpu_model": "a100"}
    )
    found = asked(rule, experiment, cluster)
    assert (found.get("gpu"), found.get("gpu_model"), found["slurm_partition"]) == (
        (1, "a100", "gpu") if rule in MODEL_RULES else (None, None, "cpu")
    )
    assert "gpu" not in asked(rule, experiment, cluster.model_copy(update={"gpu": False}))


@pytest.mark.parametrize("rule", MODEL_RULES)
def test_rules_that_run_a_model_ask_for_its_threads(rule: str, experiment) -> None:
    """Snakemake would cap them by the CPUs of the login node."""
    experiment = experiment.model_copy(update={"threads": 3})
    several = LAB.model_copy(update={"nodes": 2, "processes_per_node": 4})
    assert asked(rule, experiment)["cpus_per_task"] == 3
    threads = asked(rule, experiment, several)["cpus_per_task"]
    assert threads == (12 if rule in TRAININGS else 3)


def test_a_retry_asks_for_more_than_the_plan(experiment) -> None:
    planned = {"score": {"mem_mb": 400, "runtime_minutes": 7}}
    found = asked("score", experiment, planned=planned)
    assert (found["mem_mb"], found["runtime"]) == (2 * 600 + 100, 2 * 14 + 1)
    unknown = asked("score", experiment)
    assert (unknown["mem_mb"], unknown["runtime"]) == (2 * 1000 + 100, 2 * 120 + 1)
    small = LAB.model_copy(update={"longest_minutes": 20, "largest_memory_mb": 1200})
    found = asked("score", experiment, small, planned)
    assert (found["mem_mb"], found["runtime"]) == (1200, 20)


def test_a_rule_has_numbers_of_its_own(experiment) -> None:
    """They stand for the plan's and the file's, without a factor; what is not said is as before."""
    rules = {"score": RuleNumbers(memory_mb=50), "sample": RuleNumbers(runtime_minutes=9)}
    cluster = LAB.model_copy(update={"rules": rules})
    planned = {"score": {"mem_mb": 400, "runtime_minutes": 7}}
    found = asked("score", experiment, cluster, planned)
    assert (found["mem_mb"], found["runtime"]) == (2 * 50 + 100, 2 * 14 + 1)
    found = asked("sample", experiment, cluster, planned)
    assert (found["mem_mb"], found["runtime"]) == (2 * 1000 + 100, 2 * 9 + FIXED)
    several = LAB.model_copy(
        update={"rules": {"train": RuleNumbers(memory_mb=50, runtime_minutes=9)}}
        | {"processes_per_node": 4}
    )
    found = asked("train", experiment, several)
    assert (found["mem_mb"], found["runtime"]) == (2 * 50 + 100, 2 * 9 + FIXED)  # of the whole job


@pytest.mark.parametrize("rule", CPU_RULES)
def test_rules_without_a_model_ask_for_little(rule: str, experiment) -> None:
    cluster = LAB.model_copy(update={"cpu_memory_mb": 10, "cpu_runtime_minutes": 3})
    found = asked(rule, experiment, cluster)
    assert found["mem_mb"] == 2 * (1000 if rule in LOADING else 10) + 100
    assert found["runtime"] == 2 * 3 + 1
    own = {"rules": {rule: RuleNumbers(memory_mb=50, runtime_minutes=9)}}
    found = asked(rule, experiment, cluster.model_copy(update=own))
    assert (found["mem_mb"], found["runtime"]) == (2 * 50 + 100, 2 * 9 + 1)


@pytest.mark.parametrize("rule", [*MODEL_RULES, *CPU_RULES])
def test_time_to_save_is_asked_for_on_top(rule: str, experiment) -> None:
    """By the rules that save: to the others the signal, so long before the end, were the end."""
    listens = rule in LISTENING
    one = {"rules": {rule: RuleNumbers(runtime_minutes=1)}}
    found = asked(rule, experiment, LAB.model_copy(update=one | {"seconds_to_save": 150}))
    assert found.get("slurm_extra") == ("--signal=TERM@150" if listens else None)
    assert found["runtime"] == 2 * 1 + 1 + (3 + 1 if listens else 0)


def test_only_the_plans_time_is_shared_out(experiment) -> None:
    """It is that of one process; the file's own is that of a job, however many it has."""
    several = LAB.model_copy(update={"nodes": 4, "processes_per_node": 8})
    assert asked("train", experiment, several)["runtime"] == 2 * 120 + FIXED
    planned = {"train": {"mem_mb": 400, "runtime_minutes": 320}}
    assert asked("train", experiment, several, planned)["runtime"] == 2 * 2 * 320 // 32 + FIXED


def test_a_plan_of_other_settings_is_not_used(experiment, tmp_path: Path, capsys) -> None:
    assert read_plan(str(tmp_path), experiment) == {}
    rules = {"train": {"mem_mb": 5}}
    plan = {"settings": settings_hash(experiment), "rules": rules}
    write_json(tmp_path / "plan.json", plan)
    assert read_plan(str(tmp_path), experiment) == rules
    assert read_plan(str(tmp_path), experiment.model_copy(update={"seeds": [7]})) == {}
    assert "is the plan of other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("nodes", "processes", "launch"),
    [
        (1, 1, "python -m"),
        (1, 4, r"python -m torch.distributed.run .*--standalone --nproc-per-node=4 -m"),
        (2, 4, r".* srun --nodes=2 --ntasks=8 --ntasks-per-node=4 --cpus-per-task=3 .*python -m.*"),
    ],
)
def test_trainings_get_their_processes_and_others_one(
    nodes: int, processes: int, launch: str, experiment
) -> None:
    cluster = LAB.model_copy(update={"nodes": nodes, "processes_per_node": processes})
    experiment = experiment.model_copy(update={"threads": 3})
    found = asked("train", experiment, cluster)
    assert re.fullmatch(launch, found["launch"])
    # On one node those of the job, on several those of each: SLURM may spread a job's unevenly.
    gpus = {"gpu": processes} if nodes == 1 else {"gres": f"gpu:{processes}"}
    assert {key: found[key] for key in ("gpu", "gres") if key in found} == gpus
    assert found["cpus_per_task"] == processes * 3
    assert found["mem_mb"] == 2 * processes * 1000 + 100  # of a node
    # Without it SLURM may spread the GPUs of one job over nodes.
    assert found.get("nodes") == (None if nodes * processes == 1 else nodes)
    assert asked("score", experiment, cluster)["gpu"] == 1
    found = asked("train", experiment, cluster.model_copy(update={"gpu_model": "a100"}))
    assert (found.get("gpu_model"), found.get("gres")) == (
        ("a100", None) if nodes == 1 else (None, f"gpu:a100:{processes}")
    )


def test_on_several_nodes_srun_starts_every_process(tmp_path: Path, experiment) -> None:
    """Run with a program in its place that starts the second process of the second node."""
    stub = """#!/bin/bash
    while [[ $1 == -* ]]; do shift; done
    SLURM_PROCID=3 SLURM_LOCALID=1 SLURM_NTASKS=4 exec "$@"
    """
    python = "#!/bin/bash\necho $RANK $LOCAL_RANK $WORLD_SIZE $MASTER_PORT $(hostname -s) $@"
    for name, content in (("srun", stub), ("python", python)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    cluster = LAB.model_copy(update={"nodes": 2, "processes_per_node": 2})
    line = asked("train", experiment, cluster)["launch"] + " steps.train model --seed 0"
    where = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "70012"}
    ran = subprocess.run(["bash", "-c", line], env=where, capture_output=True, text=True)
    assert ran.stdout.split() == [
        *("3", "1", "4", "20012", socket.gethostname().split(".")[0]),
        *("-m", "steps.train", "model", "--seed", "0"),
    ], ran.stderr


def test_the_shipped_file_says_the_defaults() -> None:
    assert read_cluster(yaml.safe_load((ROOT / FILE).read_text())["cluster"]) == Cluster()


def test_a_mistake_in_the_file_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"slurm/cluster.yaml: cluster: unknown key 'acount'; did"):
        read_cluster({"acount": "me"})
    with pytest.raises(UserError, match=r"cluster\.yaml: cluster: nodes must be at least 1"):
        read_cluster({"nodes": 0})
    with pytest.raises(UserError, match=r"unknown key 'rules\.sample\.memory'; did you mean"):
        read_cluster({"rules": {"sample": {"memory": 1}}})
    with pytest.raises(UserError, match=r"cluster\.rules: unknown rule 'smple'; did you mean 'sa"):
        read_cluster({"rules": {"smple": {"memory_mb": 1}}})
    with pytest.raises(UserError, match=r"gpu_model.*'nvidia_a100-sxm4'.*`gpu_partition`"):
        read_cluster({"gpu_model": "nvidia_a100-sxm4"})
    with pytest.raises(UserError, match=r"cluster: `fsdp` shards a model over several processes"):
        read_cluster({"fsdp": True})


def test_only_reward_models_are_sharded(experiment) -> None:
    cluster = Cluster(processes_per_node=4, fsdp=True)
    assert asked("train", experiment)["fsdp"] == ""
    assert asked("train", experiment, cluster)["fsdp"] == " --fsdp"
    assert "fsdp" not in asked("train_generator", experiment, cluster)
