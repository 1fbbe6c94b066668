"""What the tests of training share: a cache of the fixture's groups, and a trainer around it."""

from pathlib import Path

import pandas as pd
import torch

from steps.backbone import load_generator, load_tokenizer
from steps.cache.build import build_cache
from steps.cache.compute import Models
from steps.cache.encode import encode_groups
from steps.cache.key import cache_key
from steps.cache.store import Cache
from steps.chat import ChatFormat
from steps.config import Experiment
from steps.config.schema import Training
from steps.groups.schema import PromptGroup
from steps.objectives.declaration import load_method
from steps.objectives.objective import Objective
from steps.objectives.registry import ensemble_base, method_names
from steps.train.assemble import assemble
from steps.train.batches import labelled_groups, pair_groups
from steps.train.sharded_trainer import ShardedTrainer
from steps.train.trainer import RewardTrainer

TRAINED = [name for name in method_names() if ensemble_base(name) is None]
UPPER = Training(
    mode="upper_layers", trained_layers=2, epochs=40, groups_per_step=2, learning_rate=1e-2
)


def make_cache(
    backbone: Path, experiment: Experiment, groups: list[PromptGroup], folder: Path
) -> Cache:
    """Cache ``groups``, with the hidden states that enter layer 1."""
    chat = ChatFormat(load_tokenizer(backbone, experiment))
    models = Models(load_generator(backbone, experiment))
    key = cache_key(experiment, backbone, chat, layer=1)
    build_cache(models, encode_groups(groups, chat), key, 999, folder / "work", folder / "cache")
    return Cache(folder / "cache")


def make_pairs(groups: list[PromptGroup]) -> pd.DataFrame:
    """Each right response of the fixture's groups against each wrong one."""
    rows = [
        {"group_id": g.group_id, "chosen": c, "rejected": r, "margin": 0.1 * r}
        for g in groups
        for c in range(2)
        for r in range(2, len(g.responses))
    ]
    return pd.DataFrame(rows, columns=["group_id", "chosen", "rejected", "margin"])


def with_settings(experiment: Experiment, settings: Training, **sections) -> Experiment:
    """Return ``experiment`` with other training settings and sections."""
    return experiment.model_copy(update={"training": settings, **sections})


def make_trainer(
    method: str,
    backbone: Path,
    experiment: Experiment,
    cache: Cache,
    groups: list[PromptGroup],
    work: Path,
    callbacks=None,
    fsdp: bool = False,
) -> RewardTrainer:
    """Return a trainer of ``method`` with seed 0 for the settings of ``experiment``."""
    torch.set_num_threads(1)
    settings = experiment.training
    declared = load_method(method)
    objective = Objective(declared.terms(experiment))
    scale = declared.lm_gradient_scale(experiment)
    if settings.labels == "pairwise":
        training = pair_groups(cache, make_pairs(groups))
    else:
        training = labelled_groups(cache, groups)
    made = assemble(experiment, backbone, cache, objective.needs, scale, seed=0, fsdp=fsdp)
    return (ShardedTrainer if fsdp else RewardTrainer)(
        module=made.module,
        objective=objective,
        groups=training,
        settings=settings,
        work=work,
        seed=0,
        name=method,
        callbacks=callbacks,
    )
