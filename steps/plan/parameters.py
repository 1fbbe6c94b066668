"""What is trained, counted on models without memory: the real classes on the `meta` device."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from steps.config.schema import Training
from steps.device import working_dtype
from steps.objectives.term import Need
from steps.packing import ATTENTION
from steps.train import generator
from steps.train.assemble import choose_trained

LM_NEEDS = frozenset({Need.LM_OF_CHOSEN, Need.LM_OF_REJECTED})


@dataclass(frozen=True)
class Parameters:
    """Of one training run, the copy of the LM head included.

    Attributes:
        total: all parameters that the run holds.
        trained: those of them that are trained, all in float32.
        weight_bytes: memory of all of them.
    """

    total: int
    trained: int
    weight_bytes: int


def build_classifier(config: PreTrainedConfig, settings: Training, device: str) -> PreTrainedModel:
    """Return a sequence classifier with random weights (none on `meta`), before its mode is set.

    Its dtype is that of `steps.train.assemble`.
    """
    config = deepcopy(config)
    config.num_labels = 1
    dtype = working_dtype(settings.precision) if settings.mode == "lora" else torch.float32
    attention = ATTENTION if settings.layout == "packed" else "sdpa"
    with torch.device(device):
        return AutoModelForSequenceClassification.from_config(
            config, dtype=dtype, attn_implementation=attention
        )


def reward_model_parameters(
    config: PreTrainedConfig, settings: Training, needs: frozenset[Need]
) -> Parameters:
    """Count the parameters of a reward model's training.

    Args:
        needs: of the method's terms; an LM term brings an LM head.
    """
    with torch.device("meta"):
        model, _ = choose_trained(build_classifier(config, settings, "meta"), settings)
    counted = _count(model)
    if not needs & LM_NEEDS:
        return counted
    head = config.vocab_size * config.hidden_size
    # A head that is not the embedding is read from the files, and used as it is or copied.
    own = head if settings.lm_head == "tied" and not config.tie_word_embeddings else 0
    copy = head if settings.lm_head == "copy" else 0
    return _with_head(counted, own, copy)


def generator_parameters(config: PreTrainedConfig, settings: Training) -> Parameters:
    """Count the parameters of the generator's fine-tuning.

    Args:
        settings: of `steps.train.generator.training_settings`.
    """
    dtype = working_dtype(settings.precision) if settings.mode == "lora" else torch.float32
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(deepcopy(config), dtype=dtype)
        model = generator.choose_trained(model, settings)
    copy = config.vocab_size * config.hidden_size if settings.lm_head == "copy" else 0
    return _with_head(_count(model), 0, copy)


def model_parameters(config: PreTrainedConfig, dtype: torch.dtype) -> Parameters:
    """Count the parameters of a causal language model that is only run."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(deepcopy(config), dtype=dtype)
    return _count(model.requires_grad_(False))


def _with_head(counted: Parameters, own: int, copy: int) -> Parameters:
    weight_bytes = counted.weight_bytes + 4 * (own + copy)
    return Parameters(counted.total + own + copy, counted.trained + copy, weight_bytes)


def _count(model: nn.Module) -> Parameters:
    parameters = list(model.parameters())
    return Parameters(
        total=sum(p.numel() for p in parameters),
        trained=sum(p.numel() for p in parameters if p.requires_grad),
        weight_bytes=sum(p.numel() * p.element_size() for p in parameters),
    )
