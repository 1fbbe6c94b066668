"""What one forward pass over whole prompt groups gives a cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from steps.backbone import run_model
from steps.cache.encode import EncodedGroup
from steps.cache.key import CacheKey
from steps.lm_head import tempered_log_probs
from steps.packing import GroupSpan, predictors


@dataclass(frozen=True)
class Models:
    """What computes a cache.

    Attributes:
        generator: the causal language model whose probabilities are stored.
        backbone: whose hidden states are stored; None where it is the generator itself or none
            are asked for.
    """

    generator: PreTrainedModel
    backbone: PreTrainedModel | None = None


@torch.inference_mode()
def compute_batch(
    models: Models, batch: list[EncodedGroup], key: CacheKey
) -> dict[str, np.ndarray]:
    """Return the arrays of one batch, keyed by file name, each with T rows."""
    spans = _in_one_row(batch)
    tokens = torch.from_numpy(np.concatenate([group.ids for group in batch])).long()
    generator = models.generator
    device = generator.device
    with _layer_inputs(models.backbone or generator, key.layer) as caught:
        final = run_model(generator, tokens.to(device), spans)[0]
        if models.backbone is not None:
            run_model(models.backbone, tokens.to(device), spans)
    sources = torch.cat([predictors(s, k) for s in spans for k in range(len(s.responses))])
    places = torch.cat([torch.arange(*r) for s in spans for r in s.responses])
    log_probs, entropies = tempered_log_probs(
        final[sources.to(device)],
        generator.lm_head.weight,
        tokens[places].to(device),
        key.temperature,
        key.top_p,
        key.entropy,
    )
    arrays = {
        "tokens.bin": tokens.to(torch.int32).numpy(),
        "log_probs.bin": _scatter(log_probs, places, len(tokens)),
    }
    if key.layer is not None:
        arrays["hidden.bin"] = caught[0][0].float().cpu().numpy()
    if entropies is not None:
        arrays["entropies.bin"] = _scatter(entropies, places, len(tokens))
    return arrays


def _in_one_row(batch: list[EncodedGroup]) -> list[GroupSpan]:
    spans, at = [], 0
    for group in batch:
        spans.append(group.span.shifted(at))
        at += group.span.tokens
    return spans


@contextmanager
def _layer_inputs(model: PreTrainedModel, layer: int | None) -> Iterator[list[torch.Tensor]]:
    """Collect what enters decoder layer ``layer`` of ``model``; nothing if None."""
    caught: list[torch.Tensor] = []
    if layer is None:
        yield caught
        return
    # `hidden_states` is a decoder layer's first argument in every supported architecture.
    hook = model.base_model.layers[layer].register_forward_pre_hook(
        lambda _, args: caught.append(args[0])
    )
    try:
        yield caught
    finally:
        hook.remove()


def _scatter(values: torch.Tensor, places: torch.Tensor, rows: int) -> np.ndarray:
    flat = torch.full((rows,), float("nan"))
    flat[places] = values.float().cpu()
    return flat.numpy()
