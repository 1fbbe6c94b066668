"""The generator's probabilities out of the cache, or computed at every step as the authors' release
does. The live pass is ours, packed and chunked, so this is the least that it can cost.
"""

import numpy as np
import torch
from transformers import PreTrainedModel

from benchmarks.flops import training_flops
from benchmarks.ours import make_cache, make_trainer, step_pairs, training_work
from benchmarks.rows import Row, rate_row
from benchmarks.setting import Setting
from benchmarks.timing import check_equal, in_turns, training_run
from steps.backbone import load_generator
from steps.cache.store import Cache
from steps.cache.tokens import CachedGroup
from steps.device import best_device
from steps.layouts import packed_states
from steps.lm_head import tempered_log_probs


def cached_in_full_training(setting: Setting) -> Row:
    return _compare(setting, "full", ">= 1.25")


def cached_with_lora(setting: Setting) -> Row:
    return _compare(setting, "lora", ">= 1.4")


def _compare(setting: Setting, mode: str, target: str) -> Row:
    setting, groups = step_pairs(setting.with_training(mode=mode))
    cache = make_cache(setting, groups, f"cached-{mode}")
    live = Cache(cache.folder)  # its arrays are private copies of the file's pages
    ours, theirs = (make_trainer(setting, "icrm", store, groups) for store in (cache, live))
    generator = load_generator(setting.backbone, setting.experiment, setting.dtype)
    generator.to(best_device())
    name = f"cached over live generator, icrm, mode {mode}"
    live.log_probs[:] = np.nan
    fill_live(generator, live, list(live.groups.values()))
    check_equal(name, np.nan_to_num(live.log_probs), np.nan_to_num(cache.log_probs))
    theirs.model.register_forward_pre_hook(
        lambda _, arguments: fill_live(generator, live, [g.cached for g in arguments[0]])
    )
    seconds = in_turns(training_run(ours), training_run(theirs), setting.size.rounds)
    work = training_work(ours)
    return rate_row(
        setting.machine,
        seconds,
        amount=len(groups),
        flops=training_flops(setting.config, work, mode),
        name=name,
        work=f"a step of {len(groups)} pairs, {work.tokens:,} tokens",
        peer_name="the same with a pass of the generator at every step",
        unit="pairs/s",
        target=target,
    )


@torch.inference_mode()
def fill_live(generator: PreTrainedModel, store: Cache, groups: list[CachedGroup]) -> None:
    """Compute the probabilities of the groups' responses into the store's array."""
    states = packed_states(generator, store, groups, None)
    spans = [span for group in groups for span in group.span.responses]
    targets = [torch.from_numpy(store.tokens[slice(*span)]).long() for span in spans]
    hidden = states.hidden[torch.cat(states.sources).to(generator.device)]
    weight = generator.lm_head.weight
    flat, _ = tempered_log_probs(
        hidden, weight, torch.cat(targets).to(generator.device), 1.0, 1.0, entropy=False
    )
    for span, values in zip(spans, flat.cpu().split([len(t) for t in targets]), strict=True):
        store.log_probs[slice(*span)] = values.numpy()
