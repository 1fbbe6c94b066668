"""What the Snakemake rules ask of the experiment."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError

from steps.code import package_hash
from steps.config.benchmarks import FileBenchmark
from steps.config.cluster import Cluster, read_cluster
from steps.config.dpo import HubJudge
from steps.config.hub_data import HubProblems, Prm800kData
from steps.config.load import check_overrides, load_experiment
from steps.config.schema import Backbone, ChampData, Experiment, FileData, HubBackbone, model_folder
from steps.config.section import NAME_PATTERN
from steps.errors import UserError
from steps.files import sha256

# How names of secret variables end. Only downloads need any, and they are no cluster jobs.
_SECRET = (
    *("TOKEN", "SECRET", "PASSWORD", "PASSWD", "_PASS", "_PWD", "_KEY"),
    *("CREDENTIALS", "CONNECTION_STRING", "INDEX_URL"),
)


def drop_secrets() -> None:
    """Take secrets out of the environment: in a cluster job, ``--verbose`` writes it to its log."""
    for name in [name for name in os.environ if name.upper().endswith(_SECRET)]:
        del os.environ[name]


def read_experiment(config: dict[str, Any]) -> tuple[str, Path, Experiment, Cluster]:
    """Validate ``--config``, the experiment file and the cluster's before any job is planned.

    Returns:
        The experiment's name, its file and its content; the cluster's settings, by default where
        there is no cluster.
    """
    try:
        check_overrides(config)
        cluster = read_cluster(config.get("cluster", {}))
        name = config.get("experiment", "quickstart")
        if not re.fullmatch(NAME_PATTERN, str(name)):
            raise UserError(
                f"'{name}' is no name of an experiment; give that of a file in config/ without "
                ".yaml, for example experiment=tiny"
            )
        file = Path(f"config/{name}.yaml")
        experiment = load_experiment(file)
        if cluster.fsdp:
            experiment.training.check_fsdp()
        for benchmark, data in experiment.benchmarks.items():
            if isinstance(data, FileBenchmark):
                data.check_rows(benchmark)
        if _methods_may_not_fit(experiment):
            from steps.objectives.needs import check_methods

            check_methods(experiment)
        return name, file, experiment, cluster
    except UserError as error:
        raise WorkflowError(str(error)) from None


def _methods_may_not_fit(experiment: Experiment) -> bool:
    """Whether a setting is there that not every method works with; reading them imports torch."""
    training, mean = experiment.training, experiment.consistency.reference_mean
    return training.labels == "pointwise" or mean != "response" or experiment.grm.form == "dpo"


def check_pinned(judges: dict[str, HubJudge]) -> None:
    """Refuse to start with a judge of the hub whose commit is not set."""
    for name, judge in judges.items():
        _checked(partial(judge.check_pinned, f"policy.evaluation.judges.{name}"))


def check_loadable(judges: dict[str, list[str]], experiment: Path) -> None:
    """Refuse to start with a judge of the hub that cannot be loaded, before anything is sampled.

    A process of its own looks: code that comes with a judge does not run in Snakemake's.

    Args:
        judges: the files of scores of each; one that has written them all is needed no more.
        experiment: the file.
    """
    for name, scores in judges.items():
        if all(Path(file).is_file() for file in scores):
            continue
        role = f"policy.evaluation.judges.{name}"
        command = [sys.executable, "-m", "steps.download", "check", "--role", role]
        command += ["--experiment", str(experiment)]
        looked = subprocess.run(command, capture_output=True, text=True)
        if looked.returncode != 0:
            lines = looked.stderr.splitlines()
            sentences = [line for line in lines if line.startswith("error: ")]
            raise WorkflowError("\n".join(sentences or lines).removeprefix("error: "))


def depends(experiment: Experiment, sections: list[str], code: list[str]) -> dict[str, Any]:
    """Return what a rule depends on besides its input files: a change reruns that rule.

    Args:
        sections: parts of the experiment file.
        code: sub-packages of ``steps``; "." stands for the modules directly in it.
    """
    whole = experiment.model_dump(mode="json")
    facts = {name: whole[name] for name in sections}
    return facts | {"code": {package: package_hash(package) for package in code}}


def model_files(model: Backbone) -> list[str]:
    """Return what rules read of a language model, the folder first.

    The files of a user's own folder are named too: they may be overwritten in place, which leaves
    the folder's time as it was.
    """
    folder = model_folder(model)
    local = model.source == "local"
    files = sorted(p for p in folder.iterdir() if p.is_file()) if local else []
    return [str(path) for path in [folder, *files]]


def downloads(experiment: Experiment) -> dict[str, str]:
    """Return the folders of the models that are fetched, with their roles."""
    return {
        model_folder(model).name: role
        for role, model in reversed(experiment.models.items())
        if model.source != "local"
    }


def reference_options(experiment: Experiment, name: str) -> str:
    """Return what ``python -m steps.score`` is told of a reference model."""
    model, settings = experiment.reference_models[name], experiment.training
    trust = isinstance(model, HubBackbone) and model.trust_remote_code
    options = f"--precision {settings.precision} --tokens-per-batch {settings.tokens_per_batch}"
    if model.max_length is not None:
        options += f" --max-length {model.max_length}"
    return options + " --trust-remote-code" * trust


def generator_files(experiment: Experiment, results: str) -> list[str]:
    """Return what rules read of the generator, the folder first; nothing if it is the backbone."""
    if experiment.generator.fine_tuning is not None:
        return [f"{results}/generator/model"]
    return [] if experiment.generator_is_backbone else model_files(experiment.generator_model)


def raw_data(experiment: Experiment) -> dict[str, list[str]]:
    """Return what the groups are made of: ``raw`` is downloaded, ``own`` are the user's files."""
    match experiment.data:
        case ChampData():
            return {"raw": ["resources/champ/v0.json"], "own": []}
        case FileData(train=train, evaluation=evaluation):
            return {"raw": [], "own": [train, *evaluation.values()]}
        case Prm800kData() as data:
            _checked(data.check_files)
            return {"raw": hub_folders(experiment), "own": [*data.own_files.values()]}
        case _:
            return {"raw": hub_folders(experiment), "own": []}


def problem_files(experiment: Experiment, name: str) -> dict[str, list[str]]:
    """Return where the problems of a sampled set are: like `raw_data`, one of the two."""
    problems = experiment.sampled_sets[name].problems
    if not isinstance(problems, HubProblems):
        return {"raw": [], "own": [problems.path]}
    (folder,) = [each.folder for each in experiment.hub_sets if each.problems == problems]
    return {"raw": [str(folder)], "own": []}


def content_of(files: list[str]) -> list[str]:
    """Return the SHA-256 of each file that is there; Snakemake tells which one is not."""
    return [sha256(Path(file)) for file in files if Path(file).is_file()]


def _checked(check: Callable[[], None]) -> None:
    """Run a check; its `UserError` becomes the one that Snakemake prints without a traceback."""
    try:
        check()
    except UserError as error:
        raise WorkflowError(str(error)) from None


def hub_folders(experiment: Experiment) -> list[str]:
    """Return the folders that the download step fetches from the hub."""
    return [str(hub_set.folder) for hub_set in experiment.hub_sets]
