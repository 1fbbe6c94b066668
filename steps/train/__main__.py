"""``python -m steps.train frozen|model``: train one method with one seed on cached groups."""

import argparse
from pathlib import Path

import pandas as pd
import torch

from steps.backbone import frozen_layers, load_lm_head, load_reward_model, load_tokenizer
from steps.cache.key import cache_key
from steps.cache.store import Cache
from steps.chat import ChatFormat
from steps.config import Experiment, load_experiment
from steps.errors import UserError, run_command
from steps.files import atomic_path
from steps.groups.schema import read_groups
from steps.objectives.declaration import load_method
from steps.objectives.objective import Objective
from steps.pairs.schema import read_pairs
from steps.provenance import RunCard
from steps.train.batches import training_groups
from steps.train.loop import Trainer
from steps.train.save import check_frozen, save_reward_model, write_frozen


def train_model(arguments: argparse.Namespace, experiment: Experiment) -> None:
    """Train, then write the model folder and the training log."""
    method = load_method(arguments.method)
    settings = experiment.training
    card = RunCard(
        "train",
        settings.model_dump() | {"consistency": experiment.consistency.model_dump()},
        arguments.seed,
    )
    groups = read_groups(arguments.groups)
    pairs = read_pairs(arguments.pairs, groups)
    if pairs.empty:
        raise UserError(f"{arguments.pairs} has no pair to train on")
    cache = Cache(arguments.cache)
    cache.check_hashes()
    cache.check_texts(groups)
    tokenizer = load_tokenizer(arguments.backbone, experiment)
    if not 0 <= arguments.seed < 2**32:
        raise UserError(f"--seed must lie between 0 and 2^32 - 1 (it is {arguments.seed})")
    # Before the reward head exists, which is drawn at random.
    torch.manual_seed(arguments.seed)
    model = load_reward_model(arguments.backbone, experiment)
    first_layer = frozen_layers(model, settings.trained_layers)
    key = cache_key(experiment, arguments.backbone, ChatFormat(tokenizer), first_layer)
    cache.check_key(key)
    check_frozen(arguments.frozen, model, first_layer)
    trainer = Trainer(
        model=model,
        lm_head_weight=load_lm_head(arguments.backbone, model),
        cache=cache,
        groups=training_groups(cache, pairs),
        objective=Objective(method.terms(experiment)),
        settings=settings,
        first_layer=first_layer,
        seed=arguments.seed,
        name=f"train {arguments.method} seed {arguments.seed}",
    )
    log = pd.DataFrame(trainer.train())
    facts = {
        "method": arguments.method,
        "description": method.description,
        "seed": arguments.seed,
        "first_trained_layer": first_layer,
        "cache": cache.meta["digest"],
        "terms": trainer.objective.state(),
    }
    save_reward_model(model, tokenizer, first_layer, arguments.frozen, arguments.output, facts)
    with atomic_path(arguments.log) as temporary:
        log.to_csv(temporary, index=False, float_format="%.6g")
    inputs = [arguments.groups, arguments.pairs, arguments.cache]
    card.write(arguments.card, inputs, [arguments.output, arguments.log], **facts)


def _write_frozen(arguments: argparse.Namespace, experiment: Experiment) -> None:
    card = RunCard("frozen", {"trained_layers": experiment.training.trained_layers})
    model = load_reward_model(arguments.backbone, experiment)
    layer = frozen_layers(model, experiment.training.trained_layers)
    write_frozen(model, layer, arguments.output)
    card.write(arguments.card, [arguments.backbone], [arguments.output])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m steps.train", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    frozen = actions.add_parser(
        "frozen", help="write the frozen lower layers, shared by all models"
    )
    model = actions.add_parser("model", help="train one method with one seed")
    for command in (frozen, model):
        command.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
        command.add_argument("--backbone", type=Path, required=True, help="model folder")
        command.add_argument("--card", type=Path, help="run card to write (provenance)")
    frozen.add_argument("--output", type=Path, required=True, help="safetensors file to write")
    model.add_argument("--method", required=True, help="a file of steps/objectives/methods")
    model.add_argument("--seed", type=int, required=True)
    model.add_argument("--groups", type=Path, required=True, help="training groups (parquet)")
    model.add_argument("--pairs", type=Path, required=True, help="training pairs (parquet)")
    model.add_argument("--cache", type=Path, required=True, help="cache folder of these groups")
    model.add_argument("--frozen", type=Path, required=True, help="file of the action `frozen`")
    model.add_argument("--output", type=Path, required=True, help="model folder to write")
    model.add_argument("--log", type=Path, required=True, help="training log to write (CSV)")
    arguments = parser.parse_args()

    experiment = load_experiment(arguments.experiment)
    torch.set_num_threads(experiment.threads)
    if arguments.action == "frozen":
        _write_frozen(arguments, experiment)
    else:
        train_model(arguments, experiment)


if __name__ == "__main__":
    run_command(main)
