"""``python -m steps.download model|champ|data|benchmark|prompts|check``: models and raw data."""

import argparse
from pathlib import Path

from steps.benchmarks.registry import BENCHMARKS
from steps.config import load_experiment
from steps.config.backbones import Backbone, HubModel, LocalBackbone, SmolLM2Backbone
from steps.config.dpo import HubJudge
from steps.config.schema import Experiment
from steps.errors import UserError, nearest, run_command
from steps.files import file_hashes
from steps.provenance import RunCard

MODEL_KEYS = {"generator": "generator.model"}  # where the key is not the role's name


def _download_model(model: Backbone | HubJudge, role: str, output: Path) -> str | None:
    """Fetch or make a model; return the commit that it was fetched at, if it is of the hub."""
    match model:
        case SmolLM2Backbone():
            from steps.download.smollm2 import download_smollm2

            download_smollm2(output)
        case HubModel():
            from steps.download.hub import download_hub

            key = MODEL_KEYS.get(role, role)
            commit = download_hub(model, key, output)
            if not model.pinned:
                pin = f"{key}.revision: {commit}"
                print(f"{output}: fetched at commit {commit}; to pin it, set {pin}")
            return commit
        case LocalBackbone(path=path):
            raise UserError(f"the model is the local folder {path}: nothing to download")
        case _:
            from steps.download.tiny import make_tiny

            make_tiny(model, output)
    return None


def _download_data(experiment: Experiment, kind: str, output: Path) -> str:
    """Fetch one set of the hub; return the commit that it was fetched at."""
    from steps.download.hub_data import TABLES, download_problems, download_table

    hub_sets = {hub_set.kind: hub_set for hub_set in experiment.hub_sets}
    if kind not in hub_sets:
        needs = ", ".join(hub_sets) or "no set of the hub"
        raise UserError(f"--set {kind}: the experiment needs {needs}")
    hub_set = hub_sets[kind]
    if hub_set.problems is not None:
        commit = download_problems(hub_set.problems, output)
    else:
        commit = download_table(TABLES[kind], hub_set.revision, output)
    if hub_set.revision is None:
        print(f"{output}: fetched at commit {commit}; to pin it, set {hub_set.key}: {commit}")
    return commit


def _download_benchmark(name: str, revision: str | None, output: Path) -> str:
    """Fetch the rows of a benchmark; return the commit that they were fetched at."""
    from steps.download.hub_data import HubTable, download_table

    benchmark = BENCHMARKS[name]
    table = HubTable(benchmark.hub_id, "default", (benchmark.split,), benchmark.columns)
    revision = revision or benchmark.revision
    instead = "run this where the hub can be reached and copy the folder"
    commit = download_table(table, revision, output, instead)
    if revision is None:
        print(f"{output}: fetched at commit {commit}; to pin it, give --revision {commit}")
    return commit


def _download_prompts(experiment: Experiment, output: Path) -> str:
    """Fetch the rows that the policies' prompts are taken from; return their commit."""
    from steps.download.hub_data import HubTable, download_table

    prompts = experiment.policy.prompts if experiment.policy else None
    if prompts is None:
        raise UserError("the experiment file has no policy.prompts: there is nothing to fetch")
    benchmark = BENCHMARKS["rewardbench"]
    table = HubTable(benchmark.hub_id, "default", ("raw",), benchmark.columns)
    instead = "run this where the hub can be reached and copy the folder"
    commit = download_table(table, prompts.revision, output, instead)
    if prompts.revision is None:
        key = "policy.prompts.revision"
        print(f"{output}: fetched at commit {commit}; to pin it, set {key}: {commit}")
    return commit


def _check(experiment: Experiment, path: Path, role: str) -> None:
    """Check that a judge or reference model of the hub can be loaded, without its weights."""
    from steps.download.hub import check_hub

    model = _model_of(experiment, path, role)
    if not isinstance(model, HubModel):
        raise UserError(f"--role: '{role}' is no model of the hub; there is nothing to check")
    check_hub(model, role)


def _model_of(experiment: Experiment, path: Path, role: str) -> Backbone | HubJudge:
    """Return the model of a role; a judge only if its commit is set."""
    if role not in experiment.models:
        hint = nearest(role, list(experiment.models))
        raise UserError(f"--role: {path} has no '{role}'; {hint}")
    model = experiment.models[role]
    if isinstance(model, HubJudge):
        model.check_pinned(role)
    return model


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m steps.download", description=__doc__)
    what = parser.add_subparsers(dest="what", required=True)
    model = what.add_parser("model", help="fetch or make a model of an experiment")
    check = what.add_parser(
        "check", help="see whether a judge of the hub can be loaded, from all but its weights"
    )
    for command in (model, check):
        command.add_argument(
            "--role",
            default="backbone",
            help="backbone, generator, data.evaluation.NAME.model, reference_models.NAME or "
            "policy.evaluation.judges.NAME",
        )
        command.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    model.add_argument("--output", type=Path, required=True, help="model folder to write")
    champ = what.add_parser("champ", help="fetch the raw CHAMP data from PyPI")
    champ.add_argument("--output", type=Path, required=True, help="JSON file to write")
    data = what.add_parser("data", help="fetch a data set of the hub that an experiment needs")
    data.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    data.add_argument(
        "--set", required=True, help="unified_feedback, skywork, prm800k or evaluation.NAME"
    )
    data.add_argument("--output", type=Path, required=True, help="folder to write")
    benchmark = what.add_parser("benchmark", help="fetch the rows of a benchmark from the hub")
    benchmark.add_argument("--benchmark", choices=BENCHMARKS, required=True)
    benchmark.add_argument("--revision", help="commit to fetch (default: the pinned one, or main)")
    benchmark.add_argument("--output", type=Path, required=True, help="folder to write")
    prompts = what.add_parser("prompts", help="fetch the rows of the policies' prompts")
    prompts.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    prompts.add_argument("--output", type=Path, required=True, help="folder to write")
    for command in (model, champ, data, benchmark, prompts):
        command.add_argument("--card", type=Path, help="run card to write (provenance)")
    return parser


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.what == "check":
        _check(load_experiment(arguments.experiment), arguments.experiment, arguments.role)
        return

    facts = {}
    if arguments.what == "champ":
        from steps.download.champ import CHAMP, download_champ

        card = RunCard("download", vars(CHAMP), path=arguments.card)
        download_champ(arguments.output)
    elif arguments.what == "data":
        experiment = load_experiment(arguments.experiment)
        settings = experiment.data.model_dump() | {"set": arguments.set}
        card = RunCard("download", settings, path=arguments.card, experiment=experiment)
        facts["revision"] = _download_data(experiment, arguments.set, arguments.output)
    elif arguments.what == "benchmark":
        settings = {"benchmark": arguments.benchmark}
        card = RunCard("download", settings, path=arguments.card)
        facts["revision"] = _download_benchmark(
            arguments.benchmark, arguments.revision, arguments.output
        )
    elif arguments.what == "prompts":
        experiment = load_experiment(arguments.experiment)
        settings = {"prompts": "release"}
        card = RunCard("download", settings, path=arguments.card, experiment=experiment)
        facts["revision"] = _download_prompts(experiment, arguments.output)
    else:
        experiment = load_experiment(arguments.experiment)
        wanted = _model_of(experiment, arguments.experiment, arguments.role)
        settings = wanted.model_dump()
        card = RunCard("download", settings, path=arguments.card, experiment=experiment)
        commit = _download_model(wanted, arguments.role, arguments.output)
        facts = {"revision": commit} if commit else {}
    if "revision" in facts:
        facts["files"] = file_hashes(arguments.output)
    card.write([arguments.output], **facts)


if __name__ == "__main__":
    run_command(main)
