"""What jobs may ask of a cluster: the file that ``snakemake --profile slurm`` reads."""

import re
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from steps.config.cluster_rules import RULES
from steps.config.messages import describe
from steps.config.section import Section
from steps.errors import UserError, nearest

FILE = Path("slurm/cluster.yaml")


class RuleNumbers(Section):
    """What the jobs of one rule ask for, instead of the plan's numbers and the file's own."""

    memory_mb: int | None = Field(None, gt=0)
    runtime_minutes: int | None = Field(None, gt=0)


class Cluster(Section):
    """The section ``cluster`` of the file, where every key is explained."""

    account: str | None = None
    cpu_partition: str | None = None
    gpu_partition: str | None = None
    gpu_model: str | None = None
    gpu: bool = True
    nodes: int = Field(1, ge=1)
    processes_per_node: int = Field(1, ge=1)
    fsdp: bool = False
    memory_mb: int = Field(8000, gt=0)
    runtime_minutes: int = Field(120, gt=0)
    cpu_memory_mb: int = Field(4000, gt=0)
    cpu_runtime_minutes: int = Field(30, gt=0)
    memory_factor: float = Field(1.3, ge=1)
    runtime_factor: float = Field(2.0, ge=1)
    snakemake_mb: int = Field(500, ge=0)
    largest_memory_mb: int | None = Field(None, gt=0)
    longest_minutes: int = Field(1440, gt=0)
    seconds_to_save: int = Field(120, ge=0)
    rules: dict[str, RuleNumbers] = Field({})

    @field_validator("gpu_model")
    @classmethod
    def _askable(cls, model: str | None) -> str | None:
        if model is not None and not re.fullmatch(r"[A-Za-z0-9_.]+", model):
            raise ValueError(
                f"Snakemake cannot ask for the GPU type '{model}', only for one of letters, "
                "digits, '_' and '.'; set it to null and choose the type by `gpu_partition`"
            )
        return model

    @model_validator(mode="after")
    def _processes_to_shard_over(self) -> "Cluster":
        if self.fsdp and self.nodes * self.processes_per_node == 1:
            raise ValueError(
                "`fsdp` shards a model over several processes; raise `processes_per_node` or "
                "`nodes`, or set it to false"
            )
        return self

    def launch(self, threads: int) -> str:
        """Return the command line that starts a training's processes, up to the module's name.

        `python` alone for one process; torchrun for those of one node; on several, srun starts each
        by itself, because a signal that the cluster sends reaches only what srun has started.
        Their meeting point is the first node, on which the rule's shell runs too.

        Args:
            threads: of each process.
        """
        each = self.processes_per_node
        if self.nodes > 1:
            return (
                "MASTER_ADDR=$(hostname) MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))"
                f" srun --nodes={self.nodes} --ntasks={self.nodes * each} --ntasks-per-node={each}"
                f" --cpus-per-task={threads} --distribution=block --kill-on-bad-exit=1 --wait=0"
                " bash -c 'export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID"
                ' WORLD_SIZE=$SLURM_NTASKS; exec python -m "$@"\' rank'
            )
        if each > 1:
            # SIGTERM reaches the training itself, which saves in its own time; torchrun would kill
            # it after 30 seconds.
            return (
                "python -m torch.distributed.run --signals-to-handle=SIGINT --standalone"
                f" --nproc-per-node={each} -m"
            )
        return "python -m"


def read_cluster(content: Any) -> Cluster:
    """Validate the section ``cluster`` of the file.

    Raises:
        UserError: naming the key and the nearest known key or rule, or the expected type.
    """
    try:
        cluster = Cluster.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{FILE}: cluster: {describe(error, content, Cluster)}") from None
    for rule in cluster.rules:
        if rule not in RULES:
            raise UserError(f"{FILE}: cluster.rules: unknown rule '{rule}'; {nearest(rule, RULES)}")
    return cluster
