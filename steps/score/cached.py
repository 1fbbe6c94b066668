"""Scoring cached groups with a trained reward model."""

from contextlib import nullcontext

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from steps.cache.store import Cache
from steps.errors import UserError
from steps.groups.schema import PromptGroup
from steps.layouts import compute_states
from steps.progress import Progress
from steps.reward_head import token_rewards


@torch.inference_mode()
def score_groups(
    model: PreTrainedModel,
    cache: Cache,
    groups: list[PromptGroup],
    first_layer: int | None,
    name: str,
    layout: str = "packed",
    dtype: torch.dtype = torch.float32,
    finite: bool = True,
) -> pd.DataFrame:
    """Return one row per response, see `steps.score.schema.SCORES`.

    Args:
        first_layer: the first trained layer, whose input the cache holds; None runs all.
        layout: as in training.
        dtype: that the products are computed in, as in training.
        finite: whether a reward that is not a finite number is an error.

    Raises:
        UserError: a reward is not a finite number, but must be.
    """
    model.eval()
    rows = []
    progress = Progress(name, len(groups), "prompts")
    for group in groups:
        cached = cache.groups[group.group_id]
        with autocast(model.device.type, dtype):
            states = compute_states(model, cache, [cached], layout, first_layer)
            rewards = token_rewards(model, states.hidden).cpu().numpy()
        token_ends = cache.token_ends(cached)
        for number, places in enumerate(states.places):
            own = rewards[places.numpy()]
            stored = slice(*cached.span.responses[number])
            if finite and not np.isfinite(own).all():
                raise UserError(
                    f"{name}: response {number} of group '{group.group_id}' gets a reward that is "
                    "not a finite number; the model has diverged, lower training.learning_rate"
                )
            rows.append(
                {
                    "group_id": group.group_id,
                    "response": number,
                    "reward": own[-1],
                    "n_tokens": len(own),
                    "token_rewards": own,
                    "token_log_probs": cache.log_probs[stored],
                    "token_ends": token_ends[number],
                }
            )
        progress.advance(1)
    return pd.DataFrame(rows)


def autocast(device: str, dtype: torch.dtype):
    """Return a context in which products are computed in ``dtype``."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device, dtype)
