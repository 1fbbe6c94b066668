"""``python -m steps.cache build|verify``: token probabilities and hidden states of all groups."""

import argparse
from pathlib import Path

import torch

from steps.backbone import frozen_layers, load_generator, load_tokenizer
from steps.cache.build import build_cache, encode_groups
from steps.cache.key import cache_key
from steps.cache.store import Cache
from steps.cache.verify import verify_cache
from steps.chat import ChatFormat
from steps.config import load_experiment
from steps.errors import run_command
from steps.groups.schema import read_groups
from steps.provenance import RunCard


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m steps.cache", description=__doc__)
    parser.add_argument("action", choices=["build", "verify"])
    parser.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    parser.add_argument("--backbone", type=Path, required=True, help="model folder")
    parser.add_argument("--groups", type=Path, required=True, help="groups of one set (parquet)")
    parser.add_argument("--output", type=Path, required=True, help="cache folder")
    parser.add_argument(
        "--work", type=Path, help="folder for unfinished work (default: OUTPUT.work)"
    )
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")
    arguments = parser.parse_args()

    experiment = load_experiment(arguments.experiment)
    torch.set_num_threads(experiment.threads)
    chat = ChatFormat(load_tokenizer(arguments.backbone, experiment))
    groups = encode_groups(read_groups(arguments.groups), chat)
    model = load_generator(arguments.backbone, experiment)
    layer = frozen_layers(model, experiment.training.trained_layers)
    key = cache_key(experiment, arguments.backbone, chat, layer)
    card = RunCard("cache", experiment.cache.model_dump() | experiment.generator.model_dump())
    if arguments.action == "build":
        work = arguments.work or arguments.output.with_name(arguments.output.name + ".work")
        build_cache(model, groups, key, experiment.cache.tokens_per_batch, work, arguments.output)
    cache = Cache(arguments.output)
    worst = verify_cache(cache, model, groups, key, experiment.cache.verify_groups)
    shown = ", ".join(f"{name} {value:.1e}" for name, value in worst.items()) or "nothing compared"
    print(f"{arguments.output}: {cache.meta['tokens']:,} tokens; recomputed sample: {shown}")
    inputs = [arguments.backbone, arguments.groups]
    card.write(arguments.card, inputs, [arguments.output], deviation=worst)


if __name__ == "__main__":
    run_command(main)
