"""Our side of the training comparisons, made of the steps' own parts."""

from pathlib import Path

import torch

from benchmarks.flops import Work, work_of
from benchmarks.setting import Setting
from benchmarks.texts import training_pairs
from steps.backbone import load_generator
from steps.cache.build import build_cache
from steps.cache.compute import Models
from steps.cache.encode import encode_groups
from steps.cache.key import cache_key
from steps.cache.store import Cache
from steps.cache.tokens import TokenStore
from steps.device import best_device
from steps.groups.schema import PromptGroup
from steps.objectives.declaration import load_method
from steps.objectives.objective import Objective
from steps.objectives.term import Need
from steps.pairs.make import make_pairs
from steps.train.assemble import assemble
from steps.train.batches import pair_groups
from steps.train.trainer import RewardTrainer


def make_cache(
    setting: Setting, groups: list[PromptGroup], name: str, layer: int | None = None
) -> Cache:
    """Cache groups as the cache step does."""
    models = Models(load_generator(setting.backbone, setting.experiment).to(best_device()))
    key = cache_key(setting.experiment, setting.backbone, setting.chat, layer)
    folder = setting.work / f"cache-{name}"
    encoded = encode_groups(groups, setting.chat)
    tokens = setting.experiment.cache.tokens_per_batch
    build_cache(models, encoded, key, tokens, folder.with_suffix(".work"), folder)
    return Cache(folder)


def make_trainer(
    setting: Setting, method: str, cache: TokenStore, groups: list[PromptGroup]
) -> RewardTrainer:
    """Return the trainer of a method with seed 0, as the train step makes it."""
    declared = load_method(method)
    objective = Objective(declared.terms(setting.experiment))
    scale = declared.lm_gradient_scale(setting.experiment)
    backbone = setting.backbone
    made = assemble(setting.experiment, backbone, cache, objective.needs, scale, seed=0)
    training = pair_groups(cache, make_pairs(groups)[0])
    work: Path = setting.work / "checkpoints"
    return RewardTrainer(
        made.module, objective, training, setting.experiment.training, work, 0, method
    )


@torch.no_grad()
def first_rewards(trainer: RewardTrainer) -> torch.Tensor:
    """Return the rewards of the chosen, then the rejected responses of all pairs, [2 B]."""
    module = trainer.model
    was_training = module.training
    module.eval()
    with trainer.accelerator.autocast():
        batches = [module([group]) for group in trainer.groups]
    module.train(was_training)
    sides = [[b.chosen for b in batches], [b.rejected for b in batches]]
    return torch.cat([side.final_rewards.float().cpu() for part in sides for side in part])


def training_work(trainer: RewardTrainer) -> Work:
    """Return what one epoch of a trainer needs."""
    predicted = 0
    for group in trainer.groups:
        rows = set()
        if Need.LM_OF_CHOSEN in trainer.objective.needs:
            rows |= set(group.chosen.tolist())
        if Need.LM_OF_REJECTED in trainer.objective.needs:
            rows |= set(group.rejected.tolist())
        predicted += sum(int(group.response_lengths[k]) for k in rows)
    return work_of([group.cached.span for group in trainer.groups], predicted)


def step_pairs(setting: Setting) -> tuple[Setting, list[PromptGroup]]:
    """Return one optimiser step of half as many pairs, and the setting that takes it."""
    groups = training_pairs(setting)
    start, number = len(groups) // 4, setting.size.pairs // 2
    setting = setting.with_training(groups_per_step=number)
    return setting, groups[start : start + number]
