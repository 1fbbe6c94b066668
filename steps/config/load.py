"""Reading an experiment file, with errors that name the key, the file and the remedy."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from steps.config.hub_data import LocalProblems, Prm800kData
from steps.config.messages import describe
from steps.config.policy_checks import check_policy
from steps.config.schema import ChampData, Experiment, FileData, HubBackbone, LocalBackbone
from steps.errors import UserError, nearest
from steps.objectives.check import check_declaration
from steps.objectives.registry import method_names, needs_ratings

# Those of `steps.evaluate.baselines`, which takes longer to import.
BASELINE_NAMES = ("generator", "longest", "shortest", "random", "oracle")
# What an experiment that extends another may set; benchmarks, where the other has none.
OWN_KEYS = ("title", "extends", "benchmarks", "policy")


# Lies beside the experiments, but is none; see `steps.report.published`.
PUBLISHED_SCORES = Path("config/published_scores.yaml")


class UniqueKeyLoader(yaml.SafeLoader):
    """Plain YAML lets a later key silently replace an earlier one; this refuses."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        # Looked for before merge keys (`<<: *name`) are followed: those may be overridden.
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise yaml.MarkedYAMLError(
                problem=f"the key '{min(twice)}' stands twice", problem_mark=node.start_mark
            )
        return node


# YAML 1.1 reads 1e-4 as a string; accept it as the number that everyone means.
UniqueKeyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def load_experiment(path: Path | str) -> Experiment:
    """Read and validate ``path``.

    Raises:
        UserError: naming the file, the key and the nearest known key or the expected type.
    """
    path = Path(path)
    content = _read(path)
    if "extends" in content:
        content = _extended(path, content)
    try:
        experiment = Experiment.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {describe(error, content)}") from None
    _check_methods(path, experiment)
    _check_names(path, experiment)
    _check_layers(path, experiment)
    if experiment.policy is not None:
        check_policy(path, experiment)
    return experiment


def _read(path: Path) -> dict[str, Any]:
    """Return the keys and values of a file."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=UniqueKeyLoader)
    except FileNotFoundError:
        known = [p.stem for p in experiment_files(path.parent)]
        hint = nearest(path.stem, known) if known else f"{path.parent} has no experiment"
        raise UserError(f"there is no experiment file {path}; {hint}") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give a YAML file") from None
    # ValueError: not UTF-8, or a value such as the date 2024-13-01 that its kind cannot have.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid YAML: {_yaml_problem(error)}; correct it") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold keys and values, for example `seeds: [0, 1, 2]`")
    return content


def _extended(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Return the keys and values of the experiment that is extended, with this one's own."""
    base = _read(path.parent / f"{content['extends']}.yaml")
    for key in content:
        if key not in OWN_KEYS or (key == "benchmarks" and key in base):
            raise UserError(
                f"{path}: '{key}' is set by the experiment that is extended; leave it out or make "
                "an experiment of its own"
            )
    if "benchmarks" in content and "reference_models" in base:
        raise UserError(
            f"{path}: '{content['extends']}' has reference_models, which are scored with its own "
            "benchmarks alone; add the benchmarks there"
        )
    if "extends" in base:
        raise UserError(f"{path}: extends: '{content['extends']}' extends another one itself")
    return {key: value for key, value in base.items() if key != "policy"} | content


def load_extended(path: Path, experiment: Experiment) -> Experiment | None:
    """Return the experiment that the one of ``path`` extends, if it extends one."""
    if experiment.extends is None:
        return None
    return load_experiment(path.with_name(f"{experiment.extends}.yaml"))


def experiment_files(folder: Path) -> list[Path]:
    """Return the experiment files in a folder, sorted."""
    return [p for p in sorted(folder.glob("*.yaml")) if p.name != PUBLISHED_SCORES.name]


def _yaml_problem(error: Exception) -> str:
    """Return the line and what is wrong there; the library's text spans several lines."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    return f"line {error.problem_mark.line + 1}: {error.problem}"


def _check_methods(path: Path, experiment: Experiment) -> None:
    """Check that the methods are there, and that seeds and data are what they need."""
    known = method_names()
    for method in experiment.methods:
        if method not in known:
            raise UserError(f"{path}: unknown method '{method}'; {nearest(method, known)}")
        check_declaration(method, list(Experiment.model_fields))
    for method, base in experiment.ensembles.items():
        if len(experiment.seeds) < 2:
            raise UserError(
                f"{path}: seeds has one entry, but '{method}' joins the models of '{base}' of "
                "several; give at least two seeds or take it out of methods"
            )
    rated = [method for method in experiment.methods if needs_ratings(method)]
    # Their responses are graded right or wrong; all other data may have ratings.
    if rated and isinstance(experiment.data, ChampData | Prm800kData):
        raise UserError(
            f"{path}: '{rated[0]}' needs rated responses, which data.source: "
            f"{experiment.data.source} has not; take it out of methods or give data with scores"
        )


def _check_names(path: Path, experiment: Experiment) -> None:
    """Check what can be known before any job starts: set names, local files and folders."""
    for name in ("train", "all"):
        if name in experiment.evaluation_sets:
            raise UserError(
                f"{path}: data.evaluation: '{name}' has a meaning of its own; rename the set"
            )
    sets = ["train", *experiment.evaluation_sets]
    for name in experiment.selection.token_budget:
        if name not in sets:
            raise UserError(
                f"{path}: selection.token_budget: unknown set '{name}'; {nearest(name, sets)}"
            )
    if isinstance(experiment.data, FileData):
        for key, file in {"train": experiment.data.train, **experiment.data.evaluation}.items():
            if not Path(file).is_file():
                raise UserError(f"{path}: data: the file of '{key}', {file}, is not there")
    if isinstance(experiment.data, Prm800kData):
        problems = experiment.data.problems
        if isinstance(problems, LocalProblems) and not Path(problems.path).is_file():
            raise UserError(
                f"{path}: data.problems.path: {problems.path} is not there; give PRM800K's "
                "phase2_train.jsonl"
            )
    for name in experiment.reference_models:
        if name in {*method_names(), *BASELINE_NAMES}:
            raise UserError(
                f"{path}: reference_models: '{name}' is the name of a method or a baseline; rename "
                "the model"
            )
    for role, model in experiment.models.items():
        if isinstance(model, LocalBackbone) and not (Path(model.path) / "config.json").is_file():
            key = "generator.model" if role == "generator" else role
            raise UserError(
                f"{path}: {key}.path: there is no model in '{model.path}' (no config.json); "
                "give a folder in the Hugging Face layout"
            )


def _check_layers(path: Path, experiment: Experiment) -> None:
    """Check that the backbone has the layers to train, as soon as its number of layers is known."""
    wanted, layers = experiment.training.trained_layers, _backbone_layers(experiment)
    if None not in (wanted, layers) and wanted > layers:
        raise UserError(
            f"{path}: training.trained_layers is {wanted}, but the backbone has only {layers} "
            f"layers; give at most {layers}"
        )


def _backbone_layers(experiment: Experiment) -> int | None:
    """Return the backbone's number of layers; None if only the steps that load it can tell.

    That of a model of the hub is known once the download step has run.
    """
    backbone = experiment.backbone
    if not isinstance(backbone, LocalBackbone | HubBackbone):
        return backbone.layers
    try:
        text = (experiment.backbone_folder() / "config.json").read_text(encoding="utf-8")
        layers = json.loads(text)["num_hidden_layers"]
    except (OSError, ValueError, KeyError, TypeError):
        # Not downloaded yet, or damaged: the step that loads the model says which file and why.
        return None
    return layers if isinstance(layers, int) else None


def check_overrides(given: dict[str, Any]) -> None:
    """Check what Snakemake was given with ``--config``: only the name of the experiment.

    Everything else belongs into the experiment file, where every later step reads it too. The
    section ``cluster`` is what the profile's file brings.
    """
    for key in given:
        if key not in ("experiment", "cluster"):
            raise UserError(
                f"unknown key '{key}' in --config; {nearest(key, ['experiment'])} (settings are "
                "changed in the experiment file)"
            )
