"""One prompt group through the trained layers: rewards of all tokens, and what the terms need."""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from steps.backbone import run_upper_layers
from steps.cache.store import Cache
from steps.lm_head import token_log_probs
from steps.objectives.batch import PairBatch
from steps.packing import predictors
from steps.train.batches import TrainingGroup, pair_batch


def scale_gradient(hidden: Tensor, scale: float) -> Tensor:
    """Return ``hidden`` itself, whose gradient is multiplied by ``scale``."""
    return hidden.detach() + scale * (hidden - hidden.detach())


def forward_group(
    model: PreTrainedModel,
    cache: Cache,
    group: TrainingGroup,
    first_layer: int,
    lm_head: Tensor | None,
    lm_gradient_scale: float,
) -> PairBatch:
    """Compute a group's pairs.

    Args:
        first_layer: the first trained layer; the cache holds its input.
        lm_head: [V, D] weights where a term needs the language model, else None. Then only the
            chosen responses' tokens pass through it.
        lm_gradient_scale: factor of the language-model term's gradient into the backbone.
    """
    hidden, (span,) = cache.hidden_of([group.cached])
    final = run_upper_layers(model, hidden, [span], first_layer)[0]
    flat = model.score(final)[:, 0]
    rewards = [flat[start:end] for start, end in span.responses]
    stored = torch.from_numpy(cache.log_probs)
    log_probs = [stored[start:end] for start, end in group.cached.span.responses]
    lm_log_probs = None
    if lm_head is not None:
        lm_log_probs = {}
        scaled = scale_gradient(final, lm_gradient_scale)
        for k in sorted(set(group.chosen.tolist())):
            start, end = group.cached.span.responses[k]
            targets = torch.from_numpy(cache.tokens[start:end]).long()
            lm_log_probs[k] = token_log_probs(scaled[predictors(span, k)], lm_head, targets)
    return pair_batch(group, rewards, log_probs, lm_log_probs)
