"""Writing the folder: weights, configuration, tokenizer, model card, provenance."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors.torch import save_file

from steps.config import Experiment
from steps.errors import UserError
from steps.export import CARD, PROVENANCE, WEIGHTS
from steps.export.card import Origin, model_card
from steps.export.configuration import portable_config
from steps.export.scores import model_scores
from steps.export.source import Source, open_source, read_weights
from steps.export.tokenizer import write_tokenizer
from steps.files import atomic_path, read_json, sha256, write_json, write_text
from steps.provenance import code_facts
from steps.score.model_files import FACTS, find_model


def export_model(
    model: Path,
    output: Path,
    experiment: Experiment | None,
    evaluation: Path | None,
    training_card: Path | None,
) -> None:
    """Write the model folder ``output``, atomically.

    Args:
        model: folder of the train step; its weights may be hard links to shared files.
        experiment: what the model was trained in; the card takes data and licences from it.
        evaluation: folder of `steps.evaluate`.
        training_card: run card of the train step.
    """
    if evaluation is not None and experiment is None:
        raise UserError("--evaluation needs --experiment, which says what was evaluated; give both")
    if evaluation is not None and not evaluation.is_dir():
        raise UserError(
            f"{evaluation} is not there; evaluate first (`snakemake tables`, or by hand `python -m "
            "steps.evaluate`), or leave --evaluation out"
        )
    source = open_source(model)
    weights = read_weights(source)
    method, seed = source.facts["method"], source.facts["seed"]
    if experiment is not None:
        _check_experiment(experiment, method, seed)
    scores = None
    if evaluation is not None:
        scores = model_scores(evaluation, experiment, find_model(model).origin)
    provenance = _provenance(source, training_card)
    if experiment is not None and training_card is not None:
        _check_title(experiment, training_card)
        experiment = _as_trained(experiment, provenance["training"]["settings"], training_card)
    with atomic_path(output) as temporary:
        temporary.mkdir(parents=True)
        end_of_turn, pad = write_tokenizer(source.tokenizer, source.config, temporary)
        write_json(temporary / "config.json", portable_config(source.settings, end_of_turn, pad))
        save_file(weights, temporary / WEIGHTS, metadata={"format": "pt"})
        provenance["weights"] = sha256(temporary / WEIGHTS)
        # The hashes noted there are those of the shards that became one file.
        facts = source.facts | {"weights": {WEIGHTS: provenance["weights"]}}
        write_json(temporary / FACTS, facts)
        write_json(temporary / PROVENANCE, provenance)
        card = model_card(Origin(source.facts, experiment, scores, provenance))
        write_text(temporary / CARD, card)


def _provenance(source: Source, training_card: Path | None) -> dict[str, Any]:
    """Return which code and inputs made the model, without names of machines, users or folders."""
    read = [p for p in sorted(source.folder.iterdir()) if not p.name.startswith(".")]
    files = {p.name: sha256(p) for p in read}
    facts = {"model_files": files, "export": code_facts(), "training": None}
    if training_card is not None:
        facts["training"] = _training(training_card, source.folder)
    return facts


def _check_experiment(experiment: Experiment, method: str, seed: int) -> None:
    if method not in experiment.trained_methods or seed not in experiment.seeds:
        raise UserError(
            f"the experiment '{experiment.title}' trains no {method} with seed {seed}; give the "
            "one that this model was trained in"
        )


def _check_title(experiment: Experiment, path: Path) -> None:
    """Check the experiment against the run card ``path``, where that names one.

    Its hash may differ: what the training did not read may have changed since.
    """
    trained_in = (read_json(path).get("experiment") or {}).get("title")
    if trained_in not in (None, experiment.title):
        raise UserError(
            f"{path}: this model was trained in the experiment '{trained_in}', not in "
            f"'{experiment.title}'; give that one (or its title back, if nothing else has changed)"
        )


def _training(path: Path, model: Path) -> dict[str, Any]:
    """Return what the run card ``path`` says of the training of ``model``."""
    card = read_json(path)
    keys = ("commit", "uncommitted_changes", "versions", "settings", "seed", "inputs", "outputs")
    if not isinstance(card, dict) or not set(keys) <= card.keys() or card.get("step") != "train":
        raise UserError(f"{path} is no run card of the train step; give that of this model")
    if sha256(model) not in card["outputs"].values():
        raise UserError(f"{path} is the run card of another model than {model}; give its own")
    facts = {key: card[key] for key in keys if key != "outputs"}
    return facts | {"inputs": {_public(Path(p)): h for p, h in card["inputs"].items()}}


def _public(path: Path) -> str:
    """Return what a path is called in public: its end, without a folder outside the project."""
    return path.name if path.is_absolute() else "/".join(path.parts[-2:])


def _as_trained(experiment: Experiment, settings: dict[str, Any], path: Path) -> Experiment:
    """Return the experiment with the sections of the run card: its file may have changed since."""
    try:
        sections = {
            name: type(getattr(experiment, name)).model_validate(values)
            for name, values in settings.items()
        }
    except (AttributeError, ValidationError) as error:
        raise UserError(
            f"{path} has settings that this version does not know; train the model again"
        ) from error
    return experiment.model_copy(update=sections)
