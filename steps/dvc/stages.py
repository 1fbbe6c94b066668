"""``dvc.yaml``: a stage for every job of Snakemake's, with the same command, files and parameters.

The parameters of the jobs, which hold the code's hashes, are what the first stage writes; DVC then
runs a stage again exactly where Snakemake runs the job again.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from steps.config import load_experiment
from steps.dvc.graph import Job

FIRST = "parameters"
MADE_BY = "python -m steps.dvc stages --experiment {}"


def parameters_file(experiment: str) -> str:
    """Return where the first stage writes the parameters of all jobs."""
    return f"results/{experiment}/parameters.json"


def parameters(jobs: list[Job]) -> dict[str, Any]:
    """Return the parameters of every job by its name, as JSON has them."""
    return json.loads(json.dumps({job.name: job.parameters for job in jobs}, default=str))


def dvc_yaml(experiment: str, jobs: list[Job]) -> str:
    """Return the text of ``dvc.yaml``."""
    file = parameters_file(experiment)
    stages = {FIRST: _first(experiment)} | {job.name: _stage(job, file) for job in jobs}
    outputs = [output for job in jobs for output in job.outputs]
    content = {
        "stages": stages,
        "params": _experiment_files(experiment),
        "metrics": [path for path in outputs if path.endswith("/tables/main.json")],
        "plots": _plots(outputs),
    }
    made_by = MADE_BY.format(experiment)
    head = f"# Made from the Snakefile by `{made_by}`; do not edit.\n"
    return head + yaml.safe_dump(content, sort_keys=False, width=1000)


def _first(experiment: str) -> dict[str, Any]:
    return {
        "desc": "what each job reads of the experiment, and the hashes of its code",
        "cmd": f"python -m steps.dvc parameters --experiment {experiment}",
        "deps": ["Snakefile", "workflow/rules", "steps", *_experiment_files(experiment)],
        "outs": [parameters_file(experiment)],
    }


def _stage(job: Job, file: str) -> dict[str, Any]:
    # Snakemake sets the number too; the order of a sum depends on it.
    stage = {"cmd": f"OMP_NUM_THREADS={job.threads} {job.command}"}
    return stage | {"deps": job.inputs, "params": [{file: [job.name]}], "outs": job.outputs}


def _experiment_files(experiment: str) -> list[str]:
    file = f"config/{experiment}.yaml"
    base = load_experiment(file).extends
    return [file, f"config/{base}.yaml"] if base else [file]


def _plots(outputs: list[str]) -> list[Any]:
    """Return the loss of every training in one plot, and the figures."""
    logs = [path for path in outputs if path.endswith(".csv") and "training" in Path(path).parts]
    curves = {"x": "step", "y": {path: "loss" for path in logs}}
    return [{"training loss": curves}, *(path for path in outputs if path.endswith(".png"))]
