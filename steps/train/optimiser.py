"""The optimiser and the course of its learning rates."""

import math

from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from steps.config.schema import Training
from steps.train.language_module import LanguageModule


def make_optimizer(module: LanguageModule, settings: Training) -> Optimizer:
    """Return AdamW; the LM head's copy has a rate of its own.

    Its fused form reads and writes every number once, where the plain one makes a pass for every
    operation. It gains where a step has few tokens for its weights, and nothing where it has many.
    """
    parts = [{"params": module.main_parameters, "lr": settings.learning_rate}]
    if module.lm_head is not None:
        head = {"params": [module.lm_head], "lr": settings.lm_head_learning_rate}
        parts.append(head | {"weight_decay": 0.0})
    return AdamW(parts, weight_decay=settings.weight_decay, fused=True)


def make_scheduler(optimizer: Optimizer, settings: Training, steps: int) -> LambdaLR:
    """Return a linear warm-up and a cosine to zero over ``steps``; the LM head's rate is fixed
    (the release's form).
    """
    warmup = math.ceil(settings.warmup_share * steps)

    def cosine(step: int) -> float:
        if step < warmup:
            return step / warmup
        done = (step - warmup) / max(1, steps - warmup)
        return 0.5 * (1 + math.cos(math.pi * done))

    shapes = [cosine, lambda step: 1.0][: len(optimizer.param_groups)]
    return LambdaLR(optimizer, shapes)
