"""From the experiment to what is trained: the model in its mode, its head and the LM head."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from steps.backbone import frozen_layers, load_lm_head, load_reward_model, upper_parameters
from steps.cache.tokens import TokenStore
from steps.config import Experiment
from steps.config.schema import Lora, Training
from steps.device import best_device, working_dtype
from steps.objectives.term import Need
from steps.reward_head import install_mlp_head
from steps.train.adapters import add_lora, merge_lora
from steps.train.reward_module import RewardModule


@dataclass(frozen=True)
class Assembled:
    """A module to train, and how to get the plain model back."""

    module: RewardModule
    first_layer: int | None

    def plain_model(self) -> PreTrainedModel:
        """Return the sequence classifier without adapters, on the CPU."""
        model = self.module.model
        if hasattr(model, "merge_and_unload"):
            model = merge_lora(model)
        return model.to("cpu")


def assemble(
    experiment: Experiment,
    backbone: Path,
    cache: TokenStore,
    needs: frozenset[Need],
    lm_gradient_scale: float,
    seed: int,
    fsdp: bool = False,
) -> Assembled:
    """Load the backbone and set up what is trained.

    The seed is set here, before any random weight (reward head, adapters) exists.

    Args:
        needs, lm_gradient_scale: of the method's terms.
        fsdp: whether the model will be sharded: until then it stays in the machine's memory, since
            no single device need have room for it.
    """
    settings = experiment.training
    torch.manual_seed(seed)
    # Adapters are float32 and their frozen base need not be; weights that are trained must be.
    dtype = working_dtype(settings.precision) if settings.mode == "lora" else torch.float32
    model = load_reward_model(backbone, experiment, settings.layout, dtype)
    device = torch.device("cpu") if fsdp else best_device()
    model.to(device)  # before the LM head is taken, which may be one of its weights
    lm_weight = _lm_weight(experiment, backbone, model, needs)
    trained, first_layer = choose_trained(model, settings)
    if settings.gradient_checkpointing:
        model.activation_checkpointing_enable()
    module = RewardModule(
        model=trained,
        cache=cache,
        first_layer=first_layer,
        layout=settings.layout,
        needs=needs,
        lm_weight=lm_weight,
        lm_head=settings.lm_head,
        lm_gradient_scale=lm_gradient_scale,
    )
    return Assembled(module.to(device), first_layer)


def choose_trained(model: PreTrainedModel, settings: Training) -> tuple[nn.Module, int | None]:
    """Give a sequence classifier its reward head, and mark what the mode trains.

    Returns:
        The model, perhaps with adapters, and the first trained layer above frozen ones.
    """
    if settings.reward_head == "mlp":
        install_mlp_head(model)
    model.requires_grad_(False)
    match settings.mode:
        case "upper_layers":
            first_layer = frozen_layers(model, settings.trained_layers)
            for parameter in upper_parameters(model, first_layer):
                parameter.requires_grad_(True)
            return model, first_layer
        case "lora":
            return add_lora(model, settings.lora or Lora(), "SEQ_CLS"), None
        case "full":
            return model.requires_grad_(True), None


def _lm_weight(
    experiment: Experiment, backbone: Path, model: PreTrainedModel, needs: frozenset[Need]
) -> Tensor | None:
    if not needs & {Need.LM_OF_CHOSEN, Need.LM_OF_REJECTED}:
        return None
    live = experiment.training.lm_head == "tied" and experiment.training.mode == "full"
    if live and model.config.tie_word_embeddings:
        return model.get_input_embeddings().weight  # trained with the rest
    return load_lm_head(backbone, model).to(model.device)
