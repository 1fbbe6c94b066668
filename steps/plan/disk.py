"""Disk space of what an experiment leaves, computed; data and texts are small beside it."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedConfig

from steps.config import Experiment
from steps.config.schema import Backbone, Training, model_folder
from steps.plan.architecture import read_config
from steps.plan.parameters import model_parameters, reward_model_parameters
from steps.plan.runs import Run
from steps.plan.tokens import SetTokens

NOTHING = frozenset()  # the needs of a method without an LM term


@dataclass(frozen=True)
class Disk:
    """Bytes on disk.

    Attributes:
        backbones: the model folders that experiments share, those of the generator and of the
            models that solutions are sampled from among them.
        caches: of all sets; None = the tokens are not known.
        models: of all seeds of all methods, and the fine-tuned generator.
        checkpoints: of one training at a time; two of them exist while one replaces the other.
    """

    backbones: int
    caches: int | None
    models: int
    checkpoints: int

    @property
    def total(self) -> int | None:
        """The sum, where it is known."""
        if self.caches is None:
            return None
        return self.backbones + self.caches + self.models + self.checkpoints


def disk_space(experiment: Experiment, runs: list[Run], sets: list[SetTokens]) -> Disk:
    """Return the disk space of an experiment."""
    models = {experiment.backbone, experiment.generator_model}
    models |= {part.model for part in experiment.sampled_sets.values()}
    return Disk(
        backbones=sum(_backbone_bytes(model) for model in models),
        caches=_cache_bytes(experiment, sets),
        models=_model_bytes(experiment, runs),
        # Weights and both moments of AdamW, float32, twice.
        checkpoints=max(2 * 12 * run.parameters.trained for run in runs),
    )


def _backbone_bytes(model: Backbone) -> int:
    """Return the size of the folder, or before the download that of the declared dtype."""
    folder: Path = model_folder(model)
    if folder.is_dir():
        return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    config = read_config(model)
    return model_parameters(config, config.dtype or torch.float32).weight_bytes


def _cache_bytes(experiment: Experiment, sets: list[SetTokens]) -> int | None:
    """Tokens, log-probabilities, entropies and hidden states take 4 bytes a number."""
    if any(part.tokens is None for part in sets):
        return None
    numbers = 2 + experiment.generator.entropy
    if experiment.training.trained_layers is not None:
        numbers += read_config(experiment.backbone).hidden_size
    return 4 * numbers * sum(part.tokens for part in sets)


def _model_bytes(experiment: Experiment, runs: list[Run]) -> int:
    """Return the size of all model folders, which are in float32.

    Models above frozen layers share the file of those. The copy of an LM head is saved with the
    generator only.
    """
    settings, size = experiment.training, 0
    config = read_config(experiment.backbone)
    for run in runs:
        if run.rule == "train_generator":
            size += 4 * _generator(run.config, run.settings)
        elif settings.mode == "upper_layers":
            size += run.count * 4 * reward_model_parameters(config, settings, NOTHING).trained
        else:
            size += run.count * 4 * _merged(config, settings)
    if settings.mode == "upper_layers":
        plain = reward_model_parameters(config, settings, NOTHING)
        size += 4 * (plain.total - plain.trained)
    return size


def _generator(config: PreTrainedConfig, settings: Training) -> int:
    """Return the parameters of a fine-tuned generator."""
    untied = settings.lm_head == "copy" and config.tie_word_embeddings
    head = config.vocab_size * config.hidden_size if untied else 0
    return model_parameters(config, torch.float32).total + head


def _merged(config: PreTrainedConfig, settings: Training) -> int:
    """Return the parameters of a reward model with its adapters merged."""
    full = settings.model_copy(update={"mode": "full", "lora": None})
    return reward_model_parameters(config, full, NOTHING).total
