"""Low-rank adapters by peft, beside a reward head that is trained whole."""

import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import PreTrainedModel

from steps.config.schema import Lora
from steps.errors import UserError, nearest
from steps.train.fused_lora import fuse_lora


def linear_names(model: PreTrainedModel) -> list[str]:
    """Return the last parts of the names of the decoder's linear layers, such as ``q_proj``."""
    modules = model.base_model.named_modules()
    return sorted({n.rpartition(".")[2] for n, m in modules if isinstance(m, nn.Linear)})


def lora_config(model: PreTrainedModel, lora: Lora, task: str) -> LoraConfig:
    """Return peft's configuration of adapters in ``model``.

    Args:
        task: ``SEQ_CLS`` (the head ``score`` is trained beside them) or ``CAUSAL_LM``.

    Raises:
        UserError: a target names no linear layer.
    """
    known = linear_names(model)
    targets = known if lora.targets == "all-linear" else lora.targets
    for target in targets:
        if target not in known:
            raise UserError(
                f"lora.targets: no linear layer is called '{target}'; {nearest(target, known)}"
            )
    return LoraConfig(
        task_type=task,
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        modules_to_save=["score"] if task == "SEQ_CLS" else None,
    )


def add_lora(model: PreTrainedModel, lora: Lora, task: str) -> PeftModel:
    """Return ``model`` with adapters of `lora_config`; they are float32 whatever its dtype."""
    config = lora_config(model, lora, task)
    with warnings.catch_warnings():  # peft still asks transformers by an older name
        warnings.simplefilter("ignore", FutureWarning)
        adapted = get_peft_model(model, config)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
    fuse_lora(adapted)
    return adapted


def merge_lora(model: PeftModel) -> PreTrainedModel:
    """Return the model with the adapters added into its weights, in float32, and the trained head.

    Merged on the CPU, since the GPU may be full of gradients and optimiser states. Each sum is made
    in float64 and rounded once: next to a bfloat16 weight an adapter of a few small steps is less
    than half a unit in the last place, and the sum would be the weight as it was.
    """
    model = model.to("cpu", torch.float32)
    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            layer.to(torch.float64)  # one layer at a time, for the sake of memory
            layer.merge()
            layer.to(torch.float32)
    return model.unload()
