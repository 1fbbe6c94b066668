"""Batched generation with transformers: one prefill per prompt, then a token for every row."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from transformers import DynamicCache

from steps.backbone import load_policy
from steps.config import Experiment
from steps.config.sampling import Sampling
from steps.device import best_device, working_dtype
from steps.errors import UserError
from steps.sample.backend import Completion, Request
from steps.sample.draw import draw_tokens


class TransformersBackend:
    """A causal language model of transformers.

    Args:
        stops: ids of the tokens that end an answer.
    """

    def __init__(
        self, folder: Path, experiment: Experiment, sampling: Sampling, stops: frozenset[int]
    ):
        dtype = working_dtype(sampling.precision)
        self._model = load_policy(folder, experiment, dtype).to(best_device())
        self._folder, self._sampling, self._stops = folder, sampling, stops

    @torch.inference_mode()
    def generate(
        self, batch: list[Request], asked_to_stop: Callable[[], bool]
    ) -> list[Completion] | None:
        """Return the completion of each request, in order; None if it was asked to stop before.

        It asks before every token. The samples of a prompt share its prefill. A row leaves the
        batch as soon as its answer has ended: the cache is copied at every step anyway, to make
        room for one token more.
        """
        written: list[list[int]] = [[] for _ in batch]
        live = list(range(len(batch)))
        logits, mask, cache = self._prefill(batch)
        limit = self._sampling.max_new_tokens
        for position in range(limit):
            if asked_to_stop():
                return None
            keys = [batch[k].key for k in live]
            settings = self._sampling.temperature, self._sampling.top_p
            tokens = draw_tokens(logits, keys, position, *settings)
            for k, token in zip(live, tokens.tolist(), strict=True):
                written[k].append(token)
            kept = [row for row, k in enumerate(live) if written[k][-1] not in self._stops]
            if not kept or position + 1 == limit:
                break
            if len(kept) < len(live):
                live = [live[row] for row in kept]
                rows = torch.tensor(kept, device=tokens.device)
                cache.batch_select_indices(rows)
                tokens, mask = tokens[rows], mask[rows]
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            logits = self._next_logits(tokens[:, None], mask, cache)
        return [Completion(ids, "stop" if ids[-1] in self._stops else "length") for ids in written]

    def _prefill(self, batch: list[Request]) -> tuple[Tensor, Tensor, DynamicCache]:
        """Run each distinct prompt once; return logits [B, V], mask [B, L] and the filled cache."""
        places = {prompt: k for k, prompt in enumerate(dict.fromkeys(r.prompt for r in batch))}
        width = max(map(len, places))
        device = self._model.device
        ids = torch.zeros(len(places), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for prompt, k in places.items():
            ids[k, width - len(prompt) :] = torch.tensor(prompt)
            mask[k, width - len(prompt) :] = 1
        ids, mask = ids.to(device), mask.to(device)
        cache = DynamicCache(config=self._model.config)
        logits = self._next_logits(ids, mask, cache)
        rows = torch.tensor([places[request.prompt] for request in batch], device=device)
        cache.batch_select_indices(rows)
        return logits[rows], mask[rows], cache

    def _next_logits(self, ids: Tensor, mask: Tensor, cache: DynamicCache) -> Tensor:
        """Return the logits, [B, V], that follow the tokens ``ids``, [B, T], and extend the cache.

        Args:
            mask: [B, L], 0 for the padding on the left; L counts the cache and ``ids``.
        """
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        logits = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            logits_to_keep=1,
        ).logits[:, -1]
        if logits.isnan().any():
            raise UserError(
                f"the model in {self._folder} gives probabilities that are not numbers; it has "
                "diverged, train it again with a lower learning rate"
            )
        return logits
