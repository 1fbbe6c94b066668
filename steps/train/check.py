"""Whether a cache is what a training run needs."""

from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from steps.cache.key import cache_key
from steps.cache.store import Cache
from steps.chat import ChatFormat
from steps.config import Experiment


def check_cache(
    cache: Cache,
    experiment: Experiment,
    backbone: Path,
    tokenizer: PreTrainedTokenizerBase,
    first_layer: int | None,
) -> None:
    """Check that ``cache`` was made for this backbone, tokenizer and generator.

    Raises:
        UserError: naming what differs.
    """
    key = cache_key(experiment, backbone, ChatFormat(tokenizer), first_layer)
    stored = cache.meta["key"]
    # What the pass computed in, and by which library, does not matter to training, nor that
    # entropies lie there too. The weights of a generator that is not the backbone are not at hand.
    known = {name: stored.get(name) for name in ("dtype", "onednn", "entropy")}
    if not experiment.generator_is_backbone:
        known["weights"] = stored.get("weights")
    if first_layer is None:
        known |= {"layer": stored.get("layer"), "hidden_weights": stored.get("hidden_weights")}
    cache.check_key(replace(key, **known))
