"""``python -m steps.cache build|verify``: token probabilities and hidden states of all groups."""

import argparse
from contextlib import nullcontext
from pathlib import Path

import torch

from steps.backbone import frozen_layers, load_generator, load_tokenizer
from steps.cache.build import build_cache
from steps.cache.compute import Models
from steps.cache.encode import EncodedGroups, encode_groups
from steps.cache.key import CacheKey, cache_key
from steps.cache.shared import reuse, shared_folder
from steps.cache.store import Cache
from steps.cache.verify import verify_cache
from steps.chat import ChatFormat, check_same_tokens
from steps.config import Experiment, load_experiment
from steps.config.schema import Cache as CacheSettings
from steps.device import best_device, use_threads, working_dtype
from steps.errors import UserError, run_command
from steps.files import remove
from steps.groups.schema import read_groups
from steps.lock import only_writer
from steps.provenance import RunCard
from steps.stop import stop_requests
from steps.unfinished import work_folder


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m steps.cache", description=__doc__)
    parser.add_argument("action", choices=["build", "verify"])
    parser.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    parser.add_argument("--backbone", type=Path, required=True, help="model folder")
    parser.add_argument(
        "--generator", type=Path, help="model folder of the generator (default: the backbone)"
    )
    parser.add_argument("--groups", type=Path, required=True, help="groups of one set (parquet)")
    parser.add_argument("--output", type=Path, required=True, help="cache folder")
    parser.add_argument(
        "--work", type=Path, help="folder for unfinished work (default: OUTPUT.work)"
    )
    parser.add_argument(
        "--shared", type=Path, help="folder of finished caches by content, to reuse and to add to"
    )
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")
    arguments = parser.parse_args()

    with stop_requests() if arguments.action == "build" else nullcontext():
        _run(arguments)


def _run(arguments: argparse.Namespace) -> None:
    experiment = load_experiment(arguments.experiment)
    use_threads(experiment.threads)
    settings = experiment.cache
    card = RunCard(
        "cache",
        settings.model_dump() | experiment.generator.model_dump(),
        path=arguments.card,
        inputs=filter(None, [arguments.backbone, arguments.groups, arguments.generator]),
        experiment=experiment,
    )
    chat = ChatFormat(load_tokenizer(arguments.backbone, experiment))
    groups = encode_groups(read_groups(arguments.groups), chat)
    models, layer = _load_models(arguments, experiment, chat)
    key = cache_key(experiment, arguments.backbone, chat, layer, arguments.generator)
    if arguments.action == "build":
        cache, worst = _build(arguments, models, groups, key, settings)
    else:
        cache = Cache(arguments.output)
        worst = verify_cache(cache, models, groups, key, settings.verify_groups)
    shown = ", ".join(f"{name} {value:.1e}" for name, value in worst.items()) or "nothing compared"
    print(f"{arguments.output}: {cache.meta['tokens']:,} tokens; recomputed sample: {shown}")
    card.write([arguments.output], tokens=cache.meta["tokens"], deviation=worst)


def _load_models(
    arguments: argparse.Namespace, experiment: Experiment, chat: ChatFormat
) -> tuple[Models, int | None]:
    """Load the generator, and the backbone where its hidden states are wanted besides."""
    dtype = working_dtype(experiment.cache.precision)
    folder = arguments.generator or arguments.backbone
    generator = load_generator(folder, experiment, dtype).to(best_device())
    if arguments.generator is not None:
        check_same_tokens(chat, ChatFormat(load_tokenizer(folder, experiment)))
    trained = experiment.training.trained_layers
    if trained is None:
        return Models(generator), None
    if arguments.generator is None:
        return Models(generator), frozen_layers(generator, trained)
    backbone = load_generator(arguments.backbone, experiment, torch.float32).to(best_device())
    return Models(generator, backbone), frozen_layers(backbone, trained)


def _build(
    arguments: argparse.Namespace,
    models: Models,
    groups: EncodedGroups,
    key: CacheKey,
    settings: CacheSettings,
) -> tuple[Cache, dict[str, float]]:
    """Make the cache and share it, or take it from the shared folder; then verify it.

    A cache that fails is deleted wherever it lies: nobody shall take it for whole.
    """
    work = work_folder(arguments.work, arguments.output)
    output, shared = arguments.output, None
    if arguments.shared is not None:
        shared = shared_folder(arguments.shared, groups, key, settings.tokens_per_batch)
    if shared is not None and reuse(shared, output):
        print(f"{output}: taken from {shared}")
        with only_writer(work):
            remove(work)  # of a run that was killed when all was shared
    else:
        build_cache(models, groups, key, settings.tokens_per_batch, work, output, shared)
    cache = Cache(output)
    try:
        worst = verify_cache(cache, models, groups, key, settings.verify_groups)
    except UserError:
        for folder in filter(None, (output, shared)):
            remove(folder)
        raise
    return cache, worst


if __name__ == "__main__":
    run_command(main)
