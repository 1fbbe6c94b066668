"""What the Snakemake rules ask of the experiment."""

from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError

from steps.config.load import check_overrides, load_experiment
from steps.config.schema import Experiment
from steps.errors import UserError


def read_experiment(config: dict[str, Any]) -> tuple[str, Path, Experiment]:
    """Validate ``--config`` and the experiment file before any job is planned.

    Returns:
        The experiment's name, its file and its content.
    """
    try:
        check_overrides(config)
        name = config.get("experiment", "quickstart")
        file = Path(f"config/{name}.yaml")
        return name, file, load_experiment(file)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def sections(experiment: Experiment, *names: str) -> dict[str, Any]:
    """Return the parts of the experiment that a rule depends on: a change reruns that rule."""
    whole = experiment.model_dump(mode="json")
    return {name: whole[name] for name in names}


def raw_data(experiment: Experiment) -> dict[str, str]:
    """Return the raw files that the groups are made of, by input name."""
    data = experiment.data
    if data.source == "champ":
        return {"raw": "resources/champ/v0.json"}
    if data.source == "files":
        paths = [data.train, *data.evaluation.values()]
        return {f"file{number}": path for number, path in enumerate(paths)}
    return {}
