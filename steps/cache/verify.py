"""Recomputing a sample of a cache, live, and comparing."""

import numpy as np

from steps.cache.compute import Models, compute_batch
from steps.cache.encode import EncodedGroups
from steps.cache.key import CacheKey
from steps.cache.store import Cache
from steps.errors import UserError

TOLERANCE = 1e-5  # relative to values of order one, fp32


def verify_cache(
    cache: Cache, models: Models, groups: EncodedGroups, key: CacheKey, sample: int
) -> dict[str, float]:
    """Recompute ``sample`` groups, spread evenly, one by one.

    Returns:
        Per file the largest deviation |cached - live| / max(1, |live|).

    Raises:
        UserError: the cache was made with another key, a deviation exceeds 1e-5, or a file was
            damaged.
    """
    cache.check_key(key)
    cache.check_hashes()
    worst: dict[str, float] = {}
    places = np.linspace(0, len(groups) - 1, min(sample, len(groups))).round().astype(int)
    for place in sorted(set(places.tolist())):
        group = groups[place]
        stored = cache.groups[group.group.group_id].span
        rows = slice(stored.prompt[0], stored.prompt[0] + stored.tokens)
        live = compute_batch(models, [group], key)
        if not np.array_equal(cache.tokens[rows], live["tokens.bin"]):
            raise UserError(
                f"{cache.folder}: group '{group.group.group_id}' is stored with other tokens; "
                "delete the folder and run the cache step again"
            )
        for name in set(live) - {"tokens.bin"}:
            worst[name] = max(worst.get(name, 0.0), _deviation(cache.array(name)[rows], live[name]))
    for name, deviation in worst.items():
        if deviation > TOLERANCE:
            raise UserError(
                f"{cache.folder / name}: cached and recomputed values differ by {deviation:.1e}; "
                "delete the folder and run the cache step again"
            )
    return worst


def _deviation(cached: np.ndarray, live: np.ndarray) -> float:
    """Return the largest |cached - live| / max(1, |live|); infinite where only one is finite.

    NaN marks prompt tokens, and a token outside the nucleus has -inf: both must agree exactly.
    """
    finite = np.isfinite(live)
    if not np.array_equal(cached[~finite], live[~finite], equal_nan=True):
        return float("inf")
    difference = np.abs(cached[finite] - live[finite]) / np.maximum(1, np.abs(live[finite]))
    return float(difference.max(initial=0.0)) if np.isfinite(difference).all() else float("inf")
