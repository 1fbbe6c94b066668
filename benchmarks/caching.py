"""The generator's probabilities of all response tokens: our cache's pass against the plain way.

Plain: a response per row behind its prompt, padded batches of rows sorted by length, all logits,
log-softmax, gather; the batch size is the fastest of several.
"""

from functools import partial

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, PreTrainedModel

from benchmarks.flops import forward_flops, work_of
from benchmarks.rows import Row, rate_row
from benchmarks.setting import Setting
from benchmarks.texts import candidate_sets
from benchmarks.timing import TOLERANCE, against_fastest, check_equal, run_of
from steps.backbone import load_generator
from steps.cache.build import plan_batches
from steps.cache.compute import Models, compute_batch
from steps.cache.encode import EncodedGroups, encode_groups
from steps.cache.key import CacheKey, cache_key
from steps.device import best_device

# Ours was up to 5e-5 from float64's by either library (docs/speed.md): 1e-5 would ask for luck.
LOG_PROB_TOLERANCE = TOLERANCE | {torch.float32: 1e-4}


def against_plain_caching(setting: Setting) -> Row:
    """Prompts with many responses each."""
    groups = encode_groups(candidate_sets(setting), setting.chat)
    generator = load_generator(setting.backbone, setting.experiment, setting.dtype)
    models = Models(generator.to(best_device()))
    key = cache_key(setting.experiment, setting.backbone, setting.chat, layer=None)
    ours = partial(cached, setting, models, groups, key)
    model = AutoModelForCausalLM.from_pretrained(
        setting.backbone, dtype=setting.dtype, attn_implementation="sdpa"
    )
    model.to(best_device()).eval()
    rows = prompts_and_responses(groups)
    name = "caching the generator's probabilities"
    plainly = plain(model, rows, setting.size.batch_sizes[0])
    check_equal(name, ours(), plainly, LOG_PROB_TOLERANCE[setting.dtype])
    sizes = setting.size.batch_sizes
    ways = {size: partial(run_of, partial(plain, model, rows, size)) for size in sizes}
    seconds, best = against_fastest(run_of(ours), ways, setting.size.rounds)
    tokens = sum(len(response) for _, response in rows)
    spans = [groups.span(place) for place in range(len(groups))]
    return rate_row(
        setting.machine,
        seconds,
        amount=tokens,
        flops=forward_flops(setting.config, work_of(spans, tokens)),
        name=name,
        work=f"{len(groups)} prompts with {setting.size.candidates} responses each",
        peer_name=f"batches of {best} rows, logits, log-softmax, gather",
        unit="response tokens/s",
        target=">= 1.5",
    )


def cached(setting: Setting, models: Models, groups: EncodedGroups, key: CacheKey) -> np.ndarray:
    """Return the log-probabilities of all response tokens, [T], as the cache step computes them."""
    tokens = setting.experiment.cache.tokens_per_batch
    batches = plan_batches(groups, tokens)
    flat = np.concatenate(
        [compute_batch(models, groups[batch], key)["log_probs.bin"] for batch in batches]
    )
    return flat[~np.isnan(flat)]


def prompts_and_responses(groups: EncodedGroups) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the token ids of every response and of its prompt."""
    return [
        (group.ids[slice(*group.span.prompt)], group.ids[slice(*response)])
        for group in groups
        for response in group.span.responses
    ]


@torch.inference_mode()
def plain(
    model: PreTrainedModel, rows: list[tuple[np.ndarray, np.ndarray]], batch_size: int
) -> np.ndarray:
    """Return the log-probabilities of all response tokens, [T]."""
    texts = [torch.from_numpy(np.concatenate(row)).long() for row in rows]
    order = sorted(range(len(rows)), key=lambda k: len(texts[k]))
    found: list[np.ndarray | None] = [None] * len(rows)
    for at in range(0, len(order), batch_size):
        batch = order[at : at + batch_size]
        lengths = torch.tensor([len(texts[k]) for k in batch])
        ids = pad_sequence([texts[k] for k in batch], batch_first=True)
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        ids, mask = ids.to(model.device), mask.to(model.device)
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        log_probs = torch.log_softmax(logits[:, :-1].float(), -1)
        chosen = log_probs.gather(-1, ids[:, 1:, None])[..., 0].cpu().numpy()
        for number, k in enumerate(batch):
            prompt, response = rows[k]
            first = len(prompt) - 1
            found[k] = chosen[number, first : first + len(response)]
    return np.concatenate(found)
