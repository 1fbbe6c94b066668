"""Recomputing a sample of a cache, live, and comparing."""

import numpy as np

from steps.cache.compute import Models, compute_batch
from steps.cache.encode import EncodedGroups
from steps.cache.key import CacheKey
from steps.cache.store import Cache
from steps.device import best_device
from steps.errors import UserError

TOLERANCE = 1e-5  # on CPUs, relative to values of order one
# A GPU adds up in another order in a batch than for a group alone, in bfloat16 with three digits.
# An allowance: neither what rounding does there nor what damage would do has been measured.
GPU_TOLERANCE = 0.1


def verify_cache(
    cache: Cache, models: Models, groups: EncodedGroups, key: CacheKey, sample: int
) -> dict[str, float]:
    """Recompute ``sample`` groups, spread evenly, one by one.

    Returns:
        Per file the largest deviation of a group: on CPUs `_largest`, on GPUs `_typical`.

    Raises:
        UserError: the cache was made with another key, a deviation exceeds the tolerance, or a file
            was damaged.
    """
    on_cpu = best_device().type == "cpu"
    deviation_of, tolerance = (_largest, TOLERANCE) if on_cpu else (_typical, GPU_TOLERANCE)
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
            worst[name] = max(
                worst.get(name, 0.0), deviation_of(cache.array(name)[rows], live[name])
            )
    for name, deviation in worst.items():
        if deviation > tolerance:
            raise UserError(
                f"{cache.folder / name}: cached and recomputed values differ by {deviation:.1e}; "
                "delete the folder and run the cache step again"
            )
    return worst


def _largest(cached: np.ndarray, live: np.ndarray) -> float:
    """Return the largest |cached - live| / max(1, |live|); infinite where only one is finite.

    NaN marks prompt tokens, and a token outside the nucleus has -inf: both must agree exactly.
    """
    finite = np.isfinite(live)
    if not np.array_equal(cached[~finite], live[~finite], equal_nan=True):
        return float("inf")
    difference = np.abs(cached[finite] - live[finite]) / np.maximum(1, np.abs(live[finite]))
    return float(difference.max(initial=0.0)) if np.isfinite(difference).all() else float("inf")


def _typical(cached: np.ndarray, live: np.ndarray) -> float:
    """Return how far apart the values are, relative to their size; infinite for other places.

    Of log-probabilities the root mean squares over all tokens are compared. Of hidden states it is
    the mean over tokens: some of the first have values that outweigh all others.

    Rounding moves a token that is at the edge of the nucleus out of it (-inf) or into it: they are
    left out, but must be few. NaN marks prompt tokens and must agree.
    """
    responses = ~np.isnan(live)
    other = np.isfinite(cached) != np.isfinite(live)
    moved = other.sum() > GPU_TOLERANCE * responses.sum()
    if moved or not np.array_equal(np.isnan(cached), ~responses):
        return float("inf")
    both = np.isfinite(cached) & np.isfinite(live)
    one, two = (np.where(both, values, 0).astype(np.float64) for values in (cached, live))
    tokens = 1 if live.ndim == 1 else len(live)
    difference = np.linalg.norm((one - two).reshape(tokens, -1), axis=1)
    size = np.linalg.norm(two.reshape(tokens, -1), axis=1)
    return float((difference / np.maximum(size, 1e-6)).mean())
