"""The action ``model``: one training run, from its checked inputs to the model folder."""

import argparse
import contextlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from accelerate.utils import broadcast_object_list

from steps.backbone import load_tokenizer, weights_hash
from steps.cache.store import Cache
from steps.code import method_hash, package_hash
from steps.config import Experiment
from steps.errors import UserError
from steps.files import atomic_path, remove, sha256
from steps.groups.schema import read_groups
from steps.lock import only_writer
from steps.objectives.declaration import Method, load_method
from steps.objectives.needs import check_objective
from steps.objectives.objective import Objective
from steps.objectives.term import Need
from steps.pairs.schema import read_pairs
from steps.provenance import RunCard
from steps.stop import leave, stop_requests
from steps.train.assemble import Assembled, assemble
from steps.train.batches import TrainingGroup, labelled_groups, pair_groups
from steps.train.callbacks import finished, stop_when
from steps.train.check import check_cache
from steps.train.checkpoints import claim_folder, last_checkpoint
from steps.train.save import check_frozen, save_reward_model
from steps.train.sharded_trainer import ShardedTrainer
from steps.train.trained import load_trained
from steps.train.trainer import RewardTrainer
from steps.unfinished import work_folder


@stop_requests()
def train_model(arguments: argparse.Namespace, experiment: Experiment) -> None:
    """Train, going on from the last checkpoint, then write the model folder and the log."""
    if not 0 <= arguments.seed < 2**32:
        raise UserError(f"--seed must lie between 0 and 2^32 - 1 (it is {arguments.seed})")
    if arguments.fsdp:
        experiment.training.check_fsdp()
    method, objective = _objective(arguments.method, experiment)
    sections = ("training", *method.reads)
    used = {name: getattr(experiment, name).model_dump() for name in sections}
    cache = Cache(arguments.cache)
    work = work_folder(arguments.work, arguments.output)
    _check_content(cache, work)  # before the card's own check, which leaves the checkpoints
    inputs = [arguments.backbone, arguments.groups, arguments.pairs, arguments.cache]
    card = RunCard(
        "train",
        used,
        arguments.seed,
        path=arguments.card,
        inputs=filter(None, [*inputs, arguments.frozen]),
        experiment=experiment,
    )
    groups = _training_groups(arguments, experiment, cache, objective)
    tokenizer = load_tokenizer(arguments.backbone, experiment)
    scale = method.lm_gradient_scale(experiment)
    needs, seed = objective.needs, arguments.seed
    make = partial(
        assemble, experiment, arguments.backbone, cache, needs, scale, seed, arguments.fsdp
    )
    assembled = make()
    first_layer = assembled.first_layer
    check_cache(cache, experiment, arguments.backbone, tokenizer, first_layer)
    if first_layer is not None:
        check_frozen(arguments.frozen, assembled.module.model, first_layer)
    name = f"train {arguments.method} seed {seed}"
    trainer_class = ShardedTrainer if arguments.fsdp else RewardTrainer
    trainer = trainer_class(
        assembled.module, objective, groups, experiment.training, work, seed, name
    )

    def write() -> None:
        _check_content(cache, work)  # again, for it was read from the disk all the while
        facts = {
            "method": arguments.method,
            "description": method.description,
            "seed": seed,
            "mode": experiment.training.mode,
            "first_trained_layer": first_layer,
            "cache": cache.meta["digest"],
            "terms": objective.state(),
        }
        trained = assembled
        if arguments.fsdp:
            # This process holds a part of the model; the last checkpoint holds all of it.
            checkpoint = last_checkpoint(work)
            if checkpoint is None:
                raise UserError(f"{work} has no whole checkpoint any more; start again")
            trained = make()
            load_trained(trained.module, checkpoint)
        _write(arguments, trained, tokenizer, trainer.rows(), facts)
        tokens = experiment.training.epochs * sum(group.cached.span.tokens for group in groups)
        outputs = [arguments.output, arguments.training_log]
        card.write(outputs, tokens=tokens, **facts)

    run_to_the_end(trainer, work, partial(_run, arguments, cache, used), write)


def _objective(name: str, experiment: Experiment) -> tuple[Method, Objective]:
    """Return the method and its objective, which is checked against the experiment."""
    method = load_method(name)
    if method.terms is None:
        raise UserError(
            f"the method '{name}' joins the models of '{method.ensemble_of}'; train that one"
        )
    objective = Objective(method.terms(experiment))
    check_objective(name, objective, experiment)
    return method, objective


def _check_content(cache: Cache, work: Path) -> None:
    """Refuse a cache that is not as it was written, and delete the checkpoints in ``work``.

    They may have learnt from the damage. A run is known by what its cache is made of, so once that
    is made again it would go on from them.
    """
    try:
        cache.check_hashes()
    except UserError:
        for checkpoint in work.glob("checkpoint-*"):
            # Of several processes each one comes here.
            shutil.rmtree(checkpoint, ignore_errors=True)
        raise


def _run(arguments: argparse.Namespace, cache: Cache, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what the weights of a checkpoint depend on."""
    run = {
        "method": arguments.method,
        "seed": arguments.seed,
        "cache": cache.meta["digest"],
        "groups": sha256(arguments.groups),
        "pairs": sha256(arguments.pairs),
        "backbone": weights_hash(arguments.backbone),
        "code": training_code(),
        "declaration": method_hash(arguments.method),
    }
    if arguments.fsdp:
        run["fsdp"] = True  # it adds up in another order: its bytes are those of its kind
    return run | settings


def training_code() -> dict[str, str]:
    """Return the hashes of all code that a training run executes."""
    return {package: package_hash(package) for package in (".", "train", "objectives", "cache")}


def run_to_the_end(
    trainer: RewardTrainer,
    work: Path,
    run: Callable[[], dict[str, Any]],
    write: Callable[[], None],
) -> None:
    """Train, going on from the last checkpoint; then let the first process ``write`` the result.

    When asked to stop, the process saves a checkpoint and ends after the step in hand.

    Args:
        work: folder of the checkpoints, deleted when all is written.
        run: returns what the run is, see `claim_folder`; of several processes the first one asks.
    """
    first = trainer.is_world_process_zero()
    with only_writer(work) if first else contextlib.nullcontext():
        if first:
            claim_folder(work, run())
        trainer.accelerator.wait_for_everyone()
        # One process looks: file systems of several nodes may disagree for a while.
        found = [last_checkpoint(work) if first else None]
        broadcast_object_list(found)
        (checkpoint,) = found
        with stop_requests() as asked_to_stop:
            stop_when(trainer, asked_to_stop)
            if first and checkpoint:
                print(f"{trainer.name}: going on from {checkpoint.name}", flush=True)
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            if not finished(trainer):
                # No other one ends before the first has saved: that would be the end of them all.
                trainer.accelerator.wait_for_everyone()
                leave(trainer.name)
            if first:
                write()
                # A cluster calls a job that it has stopped failed whatever it wrote, and its
                # output is deleted: the checkpoint must outlive it.
                if asked_to_stop():
                    leave(trainer.name)
                remove(work)


def _training_groups(
    arguments: argparse.Namespace, experiment: Experiment, cache: Cache, objective: Objective
) -> list[TrainingGroup]:
    """Read the labels and check that they are what the cache was made from."""
    groups = read_groups(arguments.groups)
    cache.check_texts(groups)
    if experiment.training.labels == "pointwise":
        return labelled_groups(cache, groups)
    pairs = read_pairs(arguments.pairs, groups)
    if pairs.empty:
        raise UserError(f"{arguments.pairs} has no pair to train on")
    if Need.MARGINS in objective.needs and pairs["margin"].isna().any():
        row = int(pairs["margin"].isna().to_numpy().argmax())
        raise UserError(
            f"{arguments.pairs}: row {row}: this pair has no rating margin, which the method "
            f"'{arguments.method}' needs; give the responses scores or leave the method out"
        )
    return pair_groups(cache, pairs)


def _write(
    arguments: argparse.Namespace,
    assembled: Assembled,
    tokenizer,
    rows: list[dict[str, float]],
    facts: dict,
) -> None:
    frozen = None
    if assembled.first_layer is not None:
        frozen = (Path(arguments.frozen), assembled.first_layer)
    save_reward_model(assembled.plain_model(), tokenizer, frozen, arguments.output, facts)
    with atomic_path(arguments.training_log) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.6g")
