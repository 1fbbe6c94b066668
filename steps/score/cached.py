"""Scoring cached groups with a reward model trained above the cache's layer."""

import pandas as pd
import torch
from transformers import PreTrainedModel

from steps.backbone import run_upper_layers
from steps.cache.store import Cache
from steps.errors import UserError
from steps.groups.schema import PromptGroup
from steps.progress import Progress


@torch.inference_mode()
def score_groups(
    model: PreTrainedModel, cache: Cache, groups: list[PromptGroup], first_layer: int, name: str
) -> pd.DataFrame:
    """Return one row per response, see `steps.score.schema.SCORES`.

    Raises:
        UserError: a reward is not a finite number.
    """
    model.eval()
    rows = []
    progress = Progress(name, len(groups), "prompts")
    for group in groups:
        cached = cache.groups[group.group_id]
        hidden, (span,) = cache.hidden_of([cached])
        rewards = model.score(run_upper_layers(model, hidden, [span], first_layer))[0, :, 0].numpy()
        for number, (start, end) in enumerate(span.responses):
            token_rewards = rewards[start:end]
            stored = cached.span.responses[number]
            if not torch.isfinite(torch.from_numpy(token_rewards)).all():
                raise UserError(
                    f"{name}: response {number} of group '{group.group_id}' gets a reward that is "
                    "not a finite number; the model has diverged, lower training.learning_rate"
                )
            rows.append(
                {
                    "group_id": group.group_id,
                    "response": number,
                    "reward": token_rewards[-1],
                    "n_tokens": end - start,
                    "token_rewards": token_rewards,
                    "token_log_probs": cache.log_probs[slice(*stored)],
                    "token_ends": cached.token_ends[number],
                }
            )
        progress.advance(1)
    return pd.DataFrame(rows)
