"""What an evaluation was made of, and what its files must hold: ``manifest.json`` beside them.

A CSV file that lost its last lines, or holds the numbers of another experiment or of models that
have been trained again since, looks whole.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from steps.config import Experiment
from steps.errors import UserError
from steps.files import make_again, read_json, sha256, write_json
from steps.score.schema import Origin

NAME = "manifest.json"


def write_manifest(
    folder: Path,
    tables: dict[str, pd.DataFrame],
    experiment: Experiment,
    models: dict[tuple[str, int], str],
) -> None:
    """Write the manifest of the ``tables``, by file name, that are in ``folder``.

    Args:
        models: for each (method, seed) the SHA-256 of its model.
    """
    files = {
        name: {"rows": len(table), "sha256": sha256(folder / name)}
        for name, table in tables.items()
    }
    hashes = {_name(method, seed): digest for (method, seed), digest in models.items()}
    write_json(folder / NAME, _made_of(experiment) | {"files": files, "models": hashes})


def check_manifest(folder: Path, tables: dict[str, pd.DataFrame], experiment: Experiment) -> None:
    """Check what was read from ``folder`` against the manifest.

    Args:
        tables: by file name.
    Raises:
        UserError: the evaluation is of other methods, seeds, sets, reference models or settings
            than the experiment has, or a file is not as it was written.
    """
    manifest = read_json(folder / NAME)
    again = make_again(folder / NAME)
    for key, wanted in _made_of(experiment).items():
        found = manifest.get(key) if isinstance(manifest, dict) else None
        if not isinstance(found, list):
            raise UserError(f"{folder / NAME}: the list '{key}' is missing; {again}")
        # Their order changes no number, and Snakemake does not evaluate again for it.
        if sorted(map(str, found)) != sorted(map(str, wanted)):
            raise UserError(
                f"{folder} has the {key} {_listed(found)}, the experiment has {_listed(wanted)}; "
                "run the evaluate step again"
            )
    for name, table in tables.items():
        try:
            rows, written = (manifest["files"][name][fact] for fact in ("rows", "sha256"))
        except (KeyError, TypeError):
            raise UserError(f"{folder / NAME} does not describe {name}; {again}") from None
        if len(table) != rows:
            raise UserError(
                f"{folder / name} ends after row {len(table)}, but has {rows} rows according to "
                f"{NAME}; {again}"
            )
        if sha256(folder / name) != written:
            raise UserError(f"{folder / name} has changed since it was written; {again}")


def check_model(folder: Path, model: Origin) -> None:
    """Check that the evaluation's scores of a method and seed are those of ``model``.

    Raises:
        UserError: they are those of another one, or the evaluation does not tell.
    """
    manifest = read_json(folder / NAME)
    models = manifest.get("models") if isinstance(manifest, dict) else None
    name = _name(model.method, model.seed)
    if not isinstance(models, dict) or name not in models:
        raise UserError(
            f"{folder / NAME} does not tell which model of {name} was scored; "
            f"{make_again(folder / NAME)}"
        )
    if models[name] != model.sha256:
        raise UserError(
            f"{folder} has the scores of another model of {name} than the given one; give its own "
            "evaluation, or run its score and evaluate steps again"
        )


def _name(method: str, seed: int) -> str:
    """Return what a run is called, as in the paths of its model and scores."""
    return f"{method}/seed{seed}"


def _made_of(experiment: Experiment) -> dict[str, list[Any]]:
    return {
        "methods": experiment.methods,
        "seeds": experiment.seeds,
        "evaluation_sets": experiment.evaluation_sets,
        "reference_models": list(experiment.reference_models),
        "evaluation": [f"{key}={value}" for key, value in experiment.evaluation],
    }


def _listed(values: list[Any]) -> str:
    return ", ".join(map(str, values)) or "(none)"
