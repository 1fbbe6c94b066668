"""A short measurement: the steps' own code on made-up tokens, with random weights of the real
widths and a few of the layers.
"""

from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np
import torch
import transformers
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedConfig

from steps.cache.compute import Models, compute_batch
from steps.cache.key import CacheKey
from steps.config import Experiment
from steps.config.schema import Training
from steps.device import best_device, working_dtype
from steps.layouts import compute_states
from steps.objectives.objective import Objective
from steps.onednn import is_faster, use_onednn
from steps.packing import ATTENTION
from steps.plan.made_up import MadeUpStore, made_up_groups
from steps.plan.parameters import build_classifier
from steps.plan.runs import Run
from steps.plan.timing import LAYERS, extrapolate, seconds_per_token, timed
from steps.score.cached import autocast
from steps.train.assemble import choose_trained
from steps.train.batches import TrainingGroup
from steps.train.language_module import LanguageModule
from steps.train.reward_module import RewardModule


@dataclass(frozen=True)
class Rates:
    """Measured seconds.

    Attributes:
        cache: per token of a cache job.
        score: per token of a scoring job.
        train: per token of each training run, by its name.
        optimiser: per trained parameter and optimiser step of each training run.
    """

    cache: float
    score: float
    train: dict[str, float]
    optimiser: dict[str, float]


def measure_rates(experiment: Experiment, runs: list[Run], generator: PreTrainedConfig) -> Rates:
    """Measure every kind of job, each for a second or two.

    Runs whose terms read the same LM log-probabilities cost the same but for their small losses, so
    one of them is measured for all.

    Args:
        generator: the configuration of the generator's model.
    """
    torch.manual_seed(0)
    longest = experiment.selection.max_tokens
    measured: dict[tuple, np.ndarray] = {}
    by_name = {}
    for run in runs:
        kind = (run.section, run.lm_needs)
        if kind not in measured:
            measured[kind] = _training_rates(run, longest)
        by_name[run.name] = measured[kind]
    return Rates(
        cache=_cache_rate(experiment, generator),
        score=float(by_name[runs[-1].name][1]),
        train={name: float(rates[0]) for name, rates in by_name.items()},
        optimiser={name: float(rates[2]) for name, rates in by_name.items()},
    )


def _training_rates(run: Run, longest: int) -> np.ndarray:
    """Return seconds [3]: of a training step and of scoring per token, of AdamW per parameter."""
    layers = run.settings.trained_layers or run.config.num_hidden_layers
    module = _module(run, min(layers, LAYERS))
    train = partial(_train, module, run.settings, run.make_objective(), longest)
    score = partial(_score, module, run.settings, longest)

    def measure(layers: int) -> np.ndarray:
        _keep_layers(module.unwrapped, layers)
        most = run.settings.tokens_per_batch
        return np.array([seconds_per_token(train, most), seconds_per_token(score, most)])

    per_token = extrapolate(measure, layers)
    return np.append(per_token, _optimiser_rate(module))


def _train(
    module: LanguageModule, settings: Training, objective: Objective, longest: int, tokens: int
) -> int:
    """Compute the gradient of about ``tokens`` made-up tokens; return how many they were."""
    groups = _fill(module, settings, longest, tokens)
    objective.begin_step([group.lengths for group in groups])
    with autocast(best_device().type, working_dtype(settings.precision)):
        batch = module(groups)
    objective.loss(batch).backward()
    objective.end_step()
    return _computed_tokens(groups, settings.layout)


@torch.inference_mode()
def _score(module: LanguageModule, settings: Training, longest: int, tokens: int) -> int:
    """Compute the rewards of about ``tokens`` made-up tokens; return how many they were."""
    groups = _fill(module, settings, longest, tokens)
    cached = [group.cached for group in groups]
    model, layout = module.unwrapped, settings.layout
    with autocast(best_device().type, working_dtype(settings.precision)):
        states = compute_states(model, module.cache, cached, layout, module.first_layer)
        model.score(states.hidden)
    return _computed_tokens(groups, layout)


def _fill(
    module: LanguageModule, settings: Training, longest: int, tokens: int
) -> list[TrainingGroup]:
    """Let the module read made-up groups; return them."""
    shape = module.config
    encoded = made_up_groups(tokens, longest, shape.vocab_size)
    module.cache = MadeUpStore(encoded, shape.hidden_size)
    return module.cache.training_groups(paired=settings.labels == "pairwise")


def _computed_tokens(groups: list[TrainingGroup], layout: str) -> int:
    if layout == "padded":
        return sum(prod(group.padded_tokens) for group in groups)
    return sum(group.cached.span.tokens for group in groups)


def _module(run: Run, layers: int) -> RewardModule:
    """Return what `steps.train.assemble` does, without files and with ``layers`` layers."""
    settings = run.settings
    model = build_classifier(_shortened(run.config, layers), settings, str(best_device()))
    use_onednn(model)
    upper = settings.mode == "upper_layers"
    trained, first_layer = choose_trained(
        model, settings.model_copy(update={"trained_layers": layers if upper else None})
    )
    if settings.gradient_checkpointing:
        model.activation_checkpointing_enable()
    return RewardModule(
        model=trained,
        cache=None,
        first_layer=first_layer,
        layout=settings.layout,
        needs=run.make_objective().needs,
        # A head that is not the embedding has its shape.
        lm_weight=model.get_input_embeddings().weight if run.lm_needs else None,
        lm_head=settings.lm_head,
        lm_gradient_scale=settings.lm_gradient_scale,
    ).to(best_device())


def _optimiser_rate(module: nn.Module) -> float:
    """Return seconds of AdamW per parameter that has a gradient."""
    parameters = [p for p in module.parameters() if p.grad is not None]
    optimiser = torch.optim.AdamW(parameters, fused=True)  # as `steps.train.optimiser`
    optimiser.step()  # makes the moments
    return timed(optimiser.step)[0] / sum(p.numel() for p in parameters)


def _cache_rate(experiment: Experiment, config: PreTrainedConfig) -> float:
    """Return seconds per token of the pass that fills a cache.

    A backbone that passes beside another generator is taken to cost what the generator does.
    """
    settings, dtype = experiment.generator, working_dtype(experiment.cache.precision)
    with torch.device(best_device()):
        model = AutoModelForCausalLM.from_config(
            _shortened(config, min(config.num_hidden_layers, LAYERS)),
            dtype=dtype,
            attn_implementation=ATTENTION,
        ).eval()
    use_onednn(model)
    stores = experiment.training.trained_layers is not None
    second = stores and not experiment.generator_is_backbone
    key = CacheKey(
        weights="",
        chat_format="",
        temperature=settings.temperature,
        top_p=settings.top_p,
        entropy=settings.entropy,
        layer=0 if stores else None,
        hidden_weights=None,
        dtype=str(dtype),
        threads=experiment.threads,
        onednn=is_faster(),
        torch=torch.__version__,
        transformers=transformers.__version__,
    )
    models = Models(model, model if second else None)

    def compute(tokens: int) -> int:
        groups = made_up_groups(tokens, experiment.selection.max_tokens, config.vocab_size)
        return len(compute_batch(models, groups, key)["tokens.bin"])

    def measure(layers: int) -> np.ndarray:
        _keep_layers(model, layers)
        return np.array(seconds_per_token(compute, experiment.cache.tokens_per_batch))

    return float(extrapolate(measure, config.num_hidden_layers))


def _shortened(config: PreTrainedConfig, layers: int) -> PreTrainedConfig:
    settings = config.to_dict() | {"num_hidden_layers": layers}
    if settings.get("layer_types"):
        settings["layer_types"] = settings["layer_types"][:layers]
    return type(config).from_dict(settings)


def _keep_layers(model: nn.Module, layers: int) -> None:
    """Take the upper layers out of a model."""
    decoder = model.base_model
    decoder.layers = decoder.layers[:layers]
    decoder.config.num_hidden_layers = layers
