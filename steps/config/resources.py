"""What each rule asks of a cluster: the numbers of the plan, and more of them after a failure.

``python -m steps.plan --output results/<name>/plan.json`` writes the numbers, see
`steps.plan.resources`; where it did not, the file of `steps.config.cluster` has them, and there a
rule may have numbers of its own. Snakemake reads the Snakefile anew in every job, so this module
does not import torch.
"""

import hashlib
import sys
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

from steps.config.cluster import Cluster, RuleNumbers
from steps.config.cluster_rules import (
    CPU_RULES,
    GROUPED,
    LISTENING,
    LOADING,
    MODEL_RULES,
    TRAININGS,
)
from steps.config.schema import Experiment
from steps.files import read_json

SNAKEMAKE_MINUTES = 1  # that it takes to start inside the job
SIGNAL_MINUTES = 1  # that SLURM may send it too early


def settings_hash(experiment: Experiment) -> str:
    """Return the hash of everything that the experiment file says."""
    return hashlib.sha256(experiment.model_dump_json().encode()).hexdigest()


def read_plan(results: str, experiment: Experiment) -> dict[str, dict[str, int | None]]:
    """Return the planned numbers of each rule, none where there is no plan of this experiment."""
    path = Path(results) / "plan.json"
    if not path.is_file():
        return {}
    plan = read_json(path)
    if plan["settings"] != settings_hash(experiment):
        print(
            f"{path} is the plan of other settings and not used; run `python -m steps.plan` again",
            file=sys.stderr,
        )
        return {}
    return plan["rules"]


def rule_resources(
    rule: str, experiment: Experiment, cluster: Cluster, planned: dict[str, dict[str, int | None]]
) -> dict[str, Any]:
    """Return the keyword arguments of a rule's ``resources``.

    Each attempt asks for more memory and time than the one before; what a job lacked is not
    known where the cluster has no accounting.
    """
    numbers, own = planned.get(rule, {}), cluster.rules.get(rule, RuleNumbers())
    training = rule in TRAININGS
    nodes, processes = (cluster.nodes, cluster.processes_per_node) if training else (1, 1)
    small = rule in CPU_RULES
    # A rule's own numbers are those of a whole job, the plan's of one process; of the file's own
    # numbers the memory is that of a process and the time that of a job.
    memory = own.memory_mb or processes * _or(
        numbers.get("mem_mb"),
        cluster.memory_factor,
        cluster.cpu_memory_mb if small and rule not in LOADING else cluster.memory_mb,
    )
    minutes = own.runtime_minutes or _or(
        numbers.get("runtime_minutes"),
        cluster.runtime_factor / (nodes * processes),
        cluster.cpu_runtime_minutes if small else cluster.runtime_minutes,
    )
    fixed, longest = SNAKEMAKE_MINUTES, cluster.longest_minutes
    if rule in LISTENING:
        fixed += ceil(cluster.seconds_to_save / 60) + SIGNAL_MINUTES
    if rule in GROUPED:
        # Snakemake adds up the times of steps that run one after another.
        longest = max(longest // largest_group(experiment), 1)
    asked = {
        "mem_mb": _scaled(memory, cluster.snakemake_mb, cluster.largest_memory_mb),
        "runtime": _scaled(minutes, fixed, longest),
    }
    if rule in LISTENING:  # to the others the signal is the end of their time
        asked["slurm_extra"] = f"--signal=TERM@{cluster.seconds_to_save}"
    if rule in GROUPED:
        asked["steps_at_once"] = 1  # see workflow/rules/common.smk
    if cluster.account is not None:
        asked["slurm_account"] = cluster.account
    gpu = cluster.gpu and rule in MODEL_RULES
    partition = cluster.gpu_partition if gpu else cluster.cpu_partition
    if partition is not None:
        asked["slurm_partition"] = partition
    if gpu:
        asked |= _gpus(nodes, processes, cluster.gpu_model)
    if rule in MODEL_RULES:
        # The executor would take the rule's threads, which Snakemake caps by this machine's CPUs.
        asked["cpus_per_task"] = processes * experiment.threads
    if training:
        asked["launch"] = cluster.launch(experiment.threads)
    if rule == "train":
        asked["fsdp"] = " --fsdp" if cluster.fsdp else ""
    if nodes * processes > 1:
        asked["nodes"] = nodes  # SLURM may spread the GPUs of one node over several otherwise
    if nodes > 1:
        # The rule starts its own srun on all nodes: to the executor that is an MPI job.
        asked |= {"mpi": "srun", "tasks": nodes, "tasks_per_gpu": 0}
    return asked


def largest_group(experiment: Experiment) -> int:
    """Return a bound of the number of steps in one group: those of the data or of the tables.

    Single steps are three in each: preparing, selecting and frozen layers; evaluation, tables and
    figures. With them go the pairs of every set and the scores of every ensemble.
    """
    return 3 + max(1 + len(experiment.evaluation_sets), len(experiment.ensembles))


def _gpus(nodes: int, processes: int, model: str | None) -> dict[str, str | int]:
    """Ask for a GPU for each process of a node.

    `gpu` counts those of the whole job, which SLURM may spread unevenly over several nodes; `gres`
    counts those of a node.
    """
    if nodes > 1:
        return {"gres": ":".join(["gpu", *filter(None, [model]), str(processes)])}
    return {"gpu": processes} | ({} if model is None else {"gpu_model": model})


def _or(planned: int | None, factor: float, otherwise: int) -> float:
    return otherwise if planned is None else planned * factor


def _scaled(amount: float, fixed: int, most: int | None = None) -> Callable[..., int]:
    def of_attempt(wildcards: Any, attempt: int) -> int:
        asked = ceil(amount * attempt) + fixed
        return asked if most is None else min(asked, most)

    return of_attempt
