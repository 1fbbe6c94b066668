"""The jobs of an experiment, as Snakemake plans them for an empty results folder."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake.api import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    ResourceSettings,
    SnakemakeApi,
)
from snakemake.exceptions import WorkflowError
from snakemake.settings.enums import Quietness

from steps.errors import UserError

CORES = 1024  # more than a rule asks for, so that Snakemake does not cut its threads


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        name: rule and wildcards, in letters, digits, dashes and underscores.
        command: of the rule, without writing the log.
        outputs: with the run card, which Snakemake does not watch.
        parameters: the rule's, a change of which runs the job again; code is among them.
    """

    name: str
    command: str
    threads: int
    inputs: list[str]
    outputs: list[str]
    parameters: dict[str, Any]

    @property
    def card(self) -> str:
        return self.parameters["card"]


def plan_jobs(experiment: str) -> list[Job]:
    """Return the jobs of the target ``all``, by name.

    Raises:
        UserError: the experiment is not there or not valid.
    """
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            ResourceSettings(cores=CORES),
            ConfigSettings(config={"experiment": experiment}),
            snakefile=Path("Snakefile"),
        )
        try:
            plan = workflow.dag(DAGSettings(targets={"all"}, forceall=True))
            plan.execute_workflow(executor="dryrun")
        except WorkflowError as error:
            raise UserError(str(error)) from None
        # The API has no public way to the jobs of a plan.
        levels = workflow._workflow.dag.toposorted()
        return sorted(
            (_job(job) for level in levels for job in level if job.output), key=lambda job: job.name
        )


def _job(job: Any) -> Job:
    name = "-".join([job.rule.name, *job.wildcards_dict.values()])
    parameters = dict(job.params.items())
    return Job(
        re.sub(r"[^A-Za-z0-9_-]", "-", name),
        job.shellcmd.partition(" 2>&1 | tee ")[0],
        job.threads,
        _outermost([str(path) for path in job.input]),
        [*(str(path) for path in job.output), parameters["card"]],
        parameters,
    )


def _outermost(paths: list[str]) -> list[str]:
    """Return the paths without those that lie in another one: folders stand for their files."""
    return [p for p in paths if not any(str(parent) in paths for parent in Path(p).parents)]
