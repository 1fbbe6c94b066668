"""The plan as JSON, for programs: what a job of each rule asks of a cluster.

    {
      "experiment": name,
      "settings": hash of the experiment, see `steps.config.resources`,
      "machine": {"device": name, "gpu": true or false},   where times were measured
      "rules": {
        rule: {
          "jobs":            number of jobs
          "cpus":            threads of one job
          "gpu":             GPUs of one job, 0 or 1
          "mem_mb":          MiB of the machine's memory of one job at its peak
          "gpu_mem_mb":      MiB of GPU memory at its peak; 0 without GPU
          "runtime_minutes": of one job, rounded up
        }
      }
    }

A value is null where it is not known: memory and time of rules that run no model, times without
probe or before the tokens are known, and those of benchmarks. Of unequal jobs of one rule the
largest values stand here. They are predictions; a margin is for the one who uses them.
"""

from math import ceil
from typing import Any

from steps.config.resources import settings_hash
from steps.plan.hours import job_seconds
from steps.plan.jobs import Jobs
from steps.plan.make import Plan
from steps.plan.tasks import Task, benchmark_tasks

MIB = 2**20


def resources(plan: Plan) -> dict[str, Any]:
    """Return the content of the JSON file."""
    tasks = [*plan.tasks, *benchmark_tasks(plan.experiment, plan.machine)]
    return {
        "experiment": plan.name,
        "settings": settings_hash(plan.experiment),
        "machine": {"device": plan.machine.device, "gpu": plan.machine.gpu},
        "rules": {
            jobs.rule: _of_rule(plan, jobs, [task for task in tasks if task.rule == jobs.rule])
            for jobs in plan.jobs
        },
    }


def _of_rule(plan: Plan, jobs: Jobs, tasks: list[Task]) -> dict[str, int | None]:
    if not tasks:
        unknown = {"mem_mb": None, "gpu_mem_mb": 0, "runtime_minutes": None}
        return {"jobs": jobs.count, "cpus": 1, "gpu": 0} | unknown
    machine = plan.machine
    peak = max(task.memory.total for task in tasks)
    # Weights are read into the machine's memory before they go to a GPU.
    host = machine.process + max(task.memory.weights for task in tasks) if machine.gpu else peak
    seconds = [job_seconds(task, plan.rates) if plan.rates else None for task in tasks]
    return {
        "jobs": jobs.count,
        "cpus": plan.experiment.threads,
        "gpu": int(machine.gpu),
        "mem_mb": ceil(host / MIB),
        "gpu_mem_mb": ceil(peak / MIB) if machine.gpu else 0,
        "runtime_minutes": None if None in seconds else ceil(max(seconds) / 60),
    }
