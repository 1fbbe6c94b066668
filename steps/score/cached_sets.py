"""``python -m steps.score.cached_sets``: rewards of all tokens of cached groups, set by set."""

import argparse
from pathlib import Path
from typing import Any

import torch

from steps.backbone import load_reward_model
from steps.cache.store import Cache
from steps.config import load_experiment
from steps.device import best_device, working_dtype
from steps.errors import UserError, run_command
from steps.groups.schema import PromptGroup, read_groups
from steps.outputs import check_outputs
from steps.provenance import RunCard
from steps.score.cached import score_groups
from steps.score.model_files import FACTS, ModelFiles, find_model
from steps.score.schema import write_score_sets


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m steps.score.cached_sets", description=__doc__)
    parser.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained model")
    parser.add_argument(
        "--groups", type=Path, required=True, help="folder with the groups of each set"
    )
    parser.add_argument(
        "--cache", type=Path, required=True, help="folder with the cache of each set"
    )
    parser.add_argument("--sets", nargs="+", required=True, help="names of the sets to score")
    parser.add_argument("--output", type=Path, required=True, help="folder for <set>.parquet")
    parser.add_argument(
        "--keep-not-finite",
        action="store_true",
        help="write a reward that is not a finite number too: benchmarks leave its row out",
    )
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")
    arguments = parser.parse_args()
    read = [arguments.experiment, arguments.model, arguments.groups, arguments.cache]
    check_outputs([arguments.card], read, arguments.output)

    experiment = load_experiment(arguments.experiment)
    torch.set_num_threads(experiment.threads)
    inputs = [arguments.model, *(arguments.groups / f"{name}.parquet" for name in arguments.sets)]
    inputs += [arguments.cache / name for name in arguments.sets]
    card = RunCard("score", {}, path=arguments.card, inputs=inputs, experiment=experiment)
    files = find_model(arguments.model)
    facts = _check_facts(files)
    settings = experiment.training
    dtype = working_dtype(settings.precision)
    model = load_reward_model(arguments.model, experiment, settings.layout).to(best_device())
    # All sets are checked before one is scored, and scored before one is written: an error leaves
    # the scores as they were, not half of them new.
    sets = {name: _open_set(arguments, name, facts) for name in arguments.sets}
    scores = {}
    for name, (groups, cache) in sets.items():
        title, first = f"score {files.name} {name}", facts["first_trained_layer"]
        finite = not arguments.keep_not_finite
        scores[name] = score_groups(
            model, cache, groups, first, title, settings.layout, dtype, finite
        )
    outputs = write_score_sets(arguments.output, scores, files.origin)
    tokens = sum(cache.meta["tokens"] for _, cache in sets.values())
    method, seed = facts["method"], facts["seed"]
    card.write(outputs, settings={"method": method}, seed=seed, tokens=tokens)


def _check_facts(files: ModelFiles) -> dict[str, Any]:
    """Return what the train step noted beside the weights."""
    wanted = {"method", "seed", "cache", "first_trained_layer"}
    if files.facts is None or not wanted <= files.facts.keys():
        raise UserError(
            f"{files.folder / FACTS} does not name {', '.join(sorted(wanted))}; train the model "
            "again"
        )
    return files.facts


def _open_set(
    arguments: argparse.Namespace, name: str, facts: dict[str, Any]
) -> tuple[list[PromptGroup], Cache]:
    """Read the groups of one set and open their cache.

    Args:
        facts: of the model's reward_model.json.
    Raises:
        UserError: one of the two is missing or damaged, or the cache is not that of the groups or
            not of the kind that the model was trained on.
    """
    cache = Cache(arguments.cache / name)
    if cache.meta["digest"] != facts["cache"]:
        raise UserError(
            f"{arguments.model} was trained on a cache of another kind than {cache.folder}; "
            "run the cache and train steps again with one experiment file"
        )
    first_layer = facts["first_trained_layer"]
    if first_layer is not None and cache.meta["key"]["layer"] != first_layer:
        raise UserError(
            f"{arguments.model}/reward_model.json names another first trained layer than "
            f"{cache.folder} holds; train the model again"
        )
    cache.check_hashes()
    groups = read_groups(arguments.groups / f"{name}.parquet")
    cache.check_texts(groups)
    return groups, cache


if __name__ == "__main__":
    run_command(main)
