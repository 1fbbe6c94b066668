"""Every shipped experiment takes its steps, on small models of the architectures that it names."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from steps.backbone import frozen_layers, load_generator, load_tokenizer
from steps.cache.build import Models, build_cache
from steps.cache.encode import encode_groups
from steps.cache.key import cache_key
from steps.cache.store import Cache
from steps.chat import ChatFormat, check_same_tokens
from steps.config import Experiment, load_experiment
from steps.config.load import experiment_files
from steps.config.schema import HubBackbone
from steps.groups.__main__ import make_sets
from steps.groups.leaks import leak_report
from steps.groups.schema import write_groups
from steps.objectives.declaration import load_method
from steps.objectives.needs import check_needs
from steps.objectives.objective import Objective
from steps.objectives.registry import ensemble_base
from steps.pairs.schema import write_pairs
from steps.train.assemble import assemble
from steps.train.batches import labelled_groups, pair_groups
from steps.train.generator import train_generator
from tests.conftest import ROOT
from tests.stand_ins import stand_in
from tests.training import make_pairs, make_trainer, with_settings

LOADED = {p.stem: load_experiment(p) for p in experiment_files(ROOT / "config")}
# Those that extend another one have its reward models.
EXPERIMENTS = {name: e for name, e in LOADED.items() if e.extends is None}


def trained_methods(experiment: Experiment) -> list[str]:
    """The methods of an experiment, ensembles by what they join."""
    return sorted({ensemble_base(name) or name for name in experiment.methods})


RUNS = [(name, method) for name, e in EXPERIMENTS.items() for method in trained_methods(e)]


def make_generator(experiment: Experiment, groups: list, folder: Path) -> Path | None:
    """Return the generator's folder as the experiment has it; None if it is the backbone."""
    model, tuning = experiment.generator_model, experiment.generator.fine_tuning
    if experiment.generator_is_backbone:
        return None
    other = model != experiment.backbone
    start = stand_in(model, folder / "raw", seed=1) if other else folder / "backbone"
    if tuning is None:
        return start
    # Three steps of one group each: the first one's rate is zero, since it only warms up.
    short = tuning.model_copy(update={"epochs": 1, "groups_per_step": 1, "every": 1})
    generator = experiment.generator.model_copy(update={"fine_tuning": short})
    write_groups(folder / "groups.parquet", groups)
    write_pairs(folder / "pairs.parquet", make_pairs(groups).assign(same_model=False))
    arguments = argparse.Namespace(
        model=start, groups=folder / "groups.parquet", pairs=folder / "pairs.parquet", work=None
    )
    arguments.output, arguments.training_log, arguments.card = (
        folder / "tuned",
        folder / "log.csv",
        None,
    )
    train_generator(arguments, experiment.model_copy(update={"generator": generator}))
    return folder / "tuned"


class Made:
    """An experiment's small models and the cache of a few groups."""

    def __init__(self, experiment: Experiment, groups: list, folder: Path):
        self.experiment, self.groups, self.folder = experiment, groups, folder
        self.backbone = stand_in(experiment.backbone, folder / "backbone")
        self.generator = make_generator(experiment, groups, folder)
        chat = ChatFormat(load_tokenizer(self.backbone, experiment))
        backbone = load_generator(self.backbone, experiment)
        models = Models(backbone)
        if self.generator is not None:
            models = Models(load_generator(self.generator, experiment), backbone)
            check_same_tokens(chat, ChatFormat(load_tokenizer(self.generator, experiment)))
        trained = experiment.training.trained_layers
        layer = None if trained is None else frozen_layers(backbone, trained)
        key = cache_key(experiment, self.backbone, chat, layer, self.generator)
        encoded = encode_groups(groups, chat)
        build_cache(models, encoded, key, 999, folder / "work", folder / "cache")
        self.cache = Cache(folder / "cache")


@pytest.fixture(scope="module")
def made(groups, tmp_path_factory: pytest.TempPathFactory):
    """Make each experiment's models and cache once."""
    known: dict[str, Made] = {}

    def get(name: str) -> Made:
        if name not in known:
            known[name] = Made(EXPERIMENTS[name], groups, tmp_path_factory.mktemp(name))
        return known[name]

    return get


@pytest.mark.parametrize(("name", "method"), RUNS)
def test_every_method_of_every_experiment_trains(name, method, made, tmp_path) -> None:
    """One epoch of three steps: the first one's rate is zero, since it only warms up."""
    one = made(name)
    steps = one.experiment.training.model_copy(update={"epochs": 1, "groups_per_step": 1})
    experiment = with_settings(one.experiment, steps)
    check_needs(Objective(load_method(method).terms(experiment)).needs, experiment)
    trainer = make_trainer(method, one.backbone, experiment, one.cache, one.groups, tmp_path)
    before = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
    trainer.train()
    log = pd.DataFrame(trainer.rows())
    assert len(log) == 3
    # The normaliser is not known in the first step.
    assert np.isfinite(log.iloc[1:]).all(axis=None)
    for parameter_name, parameter in trainer.model.named_parameters():
        moved = not torch.equal(parameter, before[parameter_name])
        assert moved == parameter.requires_grad, parameter_name


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_cache_holds_the_generator_that_the_experiment_names(name, made) -> None:
    """Its probabilities are the backbone's own where the generator is the backbone, only there."""
    one = made(name)
    experiment, settings = one.experiment, one.experiment.generator
    raw = experiment.generator_is_backbone
    assert (one.generator is None) == raw
    chat = ChatFormat(load_tokenizer(one.backbone, experiment))
    plain = experiment.model_copy(update={"generator": settings.model_copy(update={"top_p": 1.0})})
    key = cache_key(plain, one.backbone, chat, None)
    models = Models(load_generator(one.backbone, experiment))
    encoded = encode_groups(one.groups, chat)
    build_cache(models, encoded, key, 999, one.folder / "work", one.folder / "plain")
    own, plain = one.cache.log_probs, Cache(one.folder / "plain").log_probs
    assert np.array_equal(np.isnan(own), np.isnan(plain))
    assert np.allclose(own, plain, atol=1e-7, equal_nan=True) == raw
    # A token outside the nucleus has probability 0.
    assert np.isneginf(own).any() == (settings.top_p < 1)


def test_the_example_files_are_pairs_that_share_no_prompt() -> None:
    sets, facts = make_sets(EXPERIMENTS["own_pairs"], [])
    assert {name: len(groups) for name, groups in sets.items()} == {"train": 12, "test": 8}
    assert facts["notes"] == [] and facts["left_out"] == {}
    (comparison,) = leak_report(sets)["comparisons"]
    assert comparison["sets"] == ["train", "test"]
    assert comparison["equal_prompts"]["count"] == 0
    assert comparison["near_duplicate_prompts"]["count"] == 0


def loss_and_gradients(one: Made, layout: str) -> tuple[list, dict[str, torch.Tensor]]:
    """Return the rewards of both sides and the gradients of ICRM's loss."""
    experiment = one.experiment
    training = experiment.training.model_copy(update={"layout": layout, "precision": "fp32"})
    experiment = with_settings(experiment, training)
    objective = Objective(load_method("icrm").terms(experiment))
    module = assemble(
        experiment, one.backbone, one.cache, objective.needs, 1.0, seed=0
    ).module.eval()
    if training.labels == "pairwise":
        training_groups = pair_groups(one.cache, make_pairs(one.groups))
    else:
        training_groups = labelled_groups(one.cache, one.groups)
    objective.begin_step([g.lengths for g in training_groups])
    batch = module(training_groups)
    objective.loss(batch).backward()
    gradients = {n: p.grad for n, p in module.named_parameters() if p.requires_grad}
    return [batch.chosen.rewards, batch.rejected.rewards], gradients


@pytest.mark.parametrize(
    "name", [n for n, e in EXPERIMENTS.items() if isinstance(e.backbone, HubBackbone)]
)
def test_layouts_agree_for_the_architectures_of_the_paper(name, made) -> None:
    """Packed groups and padded rows: the same rewards and gradients to 1e-5."""
    rewards, gradients = loss_and_gradients(made(name), "packed")
    others, other_gradients = loss_and_gradients(made(name), "padded")
    for reward, other in zip(rewards, others, strict=True):
        torch.testing.assert_close(reward, other, rtol=0, atol=1e-5)
    assert max(g.abs().max() for g in gradients.values()) > 1e-3
    for parameter, gradient in gradients.items():
        torch.testing.assert_close(
            gradient, other_gradients[parameter], rtol=0, atol=1e-5, msg=parameter
        )
