"""Putting the plan together."""

from dataclasses import dataclass
from pathlib import Path

from steps.config import Experiment
from steps.plan.architecture import read_config
from steps.plan.disk import Disk, disk_space
from steps.plan.jobs import Jobs, list_jobs
from steps.plan.machine import Machine
from steps.plan.probe import Rates, measure_rates
from steps.plan.runs import Run, training_runs
from steps.plan.tasks import Task, check_fits, list_tasks
from steps.plan.tokens import SetTokens, read_set_tokens


@dataclass(frozen=True)
class Plan:
    """What an experiment will take.

    Attributes:
        name: of the experiment, the stem of its file.
        results: the folder of its data and reward models, those of the experiment that it extends.
        sets: the training set first.
        rates: measured; None without probe.
    """

    name: str
    results: Path
    experiment: Experiment
    machine: Machine
    jobs: list[Jobs]
    sets: list[SetTokens]
    runs: list[Run]
    tasks: list[Task]
    disk: Disk
    rates: Rates | None


def make_plan(
    experiment: Experiment,
    name: str,
    machine: Machine,
    probe: bool,
    extended: Experiment | None = None,
) -> Plan:
    """Compute the plan, and measure where ``probe`` says so.

    Args:
        extended: the experiment that this one extends.

    Raises:
        UserError: a size is not known, a method cannot be trained so, or a job does not fit.
    """
    results = Path("results") / (experiment.extends or name)
    sets = read_set_tokens(experiment, results)
    runs = training_runs(experiment)
    tasks = list_tasks(experiment, runs, sets, machine)
    check_fits(tasks, machine)
    rates = None
    if probe:
        rates = measure_rates(experiment, runs, read_config(experiment.generator_model))
    disk = disk_space(experiment, runs, sets)
    jobs = list_jobs(experiment, extended)
    return Plan(name, results, experiment, machine, jobs, sets, runs, tasks, disk, rates)
