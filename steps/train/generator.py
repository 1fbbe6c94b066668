"""The action ``generator``: fine-tune the generator on the training responses before it is frozen.

The authors' release trains it on chosen and rejected responses alike, by their language-model loss.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from steps.backbone import load_generator, load_tokenizer
from steps.cache.encode import encode_groups
from steps.cache.tokens import MemoryStore, TokenStore
from steps.chat import ChatFormat
from steps.config import Experiment
from steps.config.schema import FineTuning, Training
from steps.device import best_device, working_dtype
from steps.errors import UserError
from steps.files import atomic_path, sha256
from steps.groups.schema import read_groups
from steps.objectives.declaration import Weighted
from steps.objectives.likelihood import Likelihood
from steps.objectives.objective import Objective
from steps.pairs.schema import read_pairs
from steps.provenance import RunCard
from steps.stop import stop_requests
from steps.train.adapters import add_lora, merge_lora
from steps.train.batches import pair_groups
from steps.train.language_module import LanguageModule
from steps.train.run import run_to_the_end, training_code
from steps.train.trainer import RewardTrainer
from steps.unfinished import work_folder


@stop_requests()
def train_generator(arguments: argparse.Namespace, experiment: Experiment) -> None:
    """Train, going on from the last checkpoint, then write the model folder and the log.

    Raises:
        UserError: the experiment does not fine-tune its generator, or an input is bad.
    """
    tuning = experiment.generator.fine_tuning
    if tuning is None:
        raise UserError(
            f"{arguments.experiment}: generator.fine_tuning is not set; the generator is used as "
            "it is"
        )
    settings = training_settings(tuning)
    inputs = {"model": arguments.model, "groups": arguments.groups, "pairs": arguments.pairs}
    card = RunCard(
        "generator",
        tuning.model_dump(),
        tuning.seed,
        path=arguments.card,
        inputs=inputs.values(),
        experiment=experiment,
    )
    groups = read_groups(arguments.groups)
    pairs = read_pairs(arguments.pairs, groups)
    if pairs.empty:
        raise UserError(
            f"{arguments.pairs} has no pair to fine-tune the generator on; give prompts with right "
            "and wrong responses or take generator.fine_tuning out"
        )
    tokenizer = load_tokenizer(arguments.model, experiment)
    store = MemoryStore(encode_groups(groups, ChatFormat(tokenizer)))
    objective = Objective([Weighted(1.0, Likelihood(tuning.rejected_length))])
    module = _assemble(arguments.model, experiment, settings, store, objective, tuning.seed)
    chosen = pair_groups(store, pairs)[:: tuning.every]
    work = work_folder(arguments.work, arguments.output)
    trainer = RewardTrainer(
        module=module,
        objective=objective,
        groups=chosen,
        settings=settings,
        work=work,
        seed=tuning.seed,
        name="train generator",
    )

    def run() -> dict[str, Any]:
        own = {"tuning": tuning.model_dump(), "code": training_code()}
        own["threads"] = experiment.threads
        return own | {name: sha256(path) for name, path in inputs.items()}

    def write() -> None:
        _write(module, tokenizer, trainer.rows(), arguments)
        tokens = settings.epochs * sum(group.cached.span.tokens for group in chosen)
        card.write([arguments.output, arguments.training_log], tokens=tokens)

    run_to_the_end(trainer, work, run, write)


def training_settings(tuning: FineTuning) -> Training:
    """Return the same settings as those of a reward model's training."""
    shared = set(Training.model_fields) & set(FineTuning.model_fields)
    mode = "full" if tuning.lora is None else "lora"
    # The language-model term is the only one, so its gradient is not scaled down.
    return Training(mode=mode, lm_gradient_scale=1.0, **{k: getattr(tuning, k) for k in shared})


def choose_trained(model: PreTrainedModel, settings: Training) -> nn.Module:
    """Mark what the fine-tuning trains of a causal language model, perhaps adapters beside it."""
    if settings.mode == "lora":
        return add_lora(model, settings.lora, "CAUSAL_LM")
    model.requires_grad_(True)
    if settings.lm_head == "copy" and not model.config.tie_word_embeddings:
        model.lm_head.requires_grad_(False)  # its copy is trained
    return model


def _assemble(
    folder: Path,
    experiment: Experiment,
    settings: Training,
    store: TokenStore,
    objective: Objective,
    seed: int,
) -> LanguageModule:
    torch.manual_seed(seed)  # before the adapters exist
    dtype = working_dtype(settings.precision) if settings.mode == "lora" else torch.float32
    model = load_generator(folder, experiment, dtype).to(best_device()).train()
    head = model.lm_head.weight
    trained = choose_trained(model, settings)
    if settings.gradient_checkpointing:
        model.activation_checkpointing_enable()
    module = LanguageModule(
        model=trained,
        cache=store,
        first_layer=None,
        layout="packed",
        needs=objective.needs,
        lm_weight=head,
        lm_head=settings.lm_head,
        lm_gradient_scale=settings.lm_gradient_scale,
    )
    return module.to(best_device())


def _write(
    module: LanguageModule,
    tokenizer: PreTrainedTokenizerBase,
    rows: list[dict[str, float]],
    arguments: argparse.Namespace,
) -> None:
    model = _plain_model(module)
    with atomic_path(arguments.output) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    with atomic_path(arguments.training_log) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.6g")


def _plain_model(module: LanguageModule) -> PreTrainedModel:
    """Return the causal language model with adapters merged and its trained head in place."""
    model = module.model
    model = merge_lora(model) if hasattr(model, "merge_and_unload") else model
    if module.lm_head is not None:
        model.config.tie_word_embeddings = False
        model.lm_head.weight = nn.Parameter(module.lm_head.detach().to(model.dtype))
    return model.to("cpu")
