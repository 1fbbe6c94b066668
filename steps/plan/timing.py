"""Timing of a computation whose size can be chosen."""

from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch

LAYERS = 3  # a model with more layers is timed with so many, and with one
SECONDS = 0.5  # that a pass must take to count
FIRST_TOKENS = 96


def extrapolate(measure: Callable[[int], np.ndarray], layers: int, few: int = LAYERS) -> np.ndarray:
    """Return what ``measure`` would give for ``layers`` layers, asking it for ``few`` at most.

    Time grows linearly with the layers, so two points give it for all.
    """
    most = measure(min(layers, few))
    if layers <= few:
        return most
    least = measure(1)
    return least + np.maximum(most - least, 0.0) / (few - 1) * (layers - 1)


def seconds_per_token(compute: Callable[[int], int], most: int) -> float:
    """Time ``compute``, which is given a number of tokens and returns how many it computed.

    It is given twice as many each time until it takes `SECONDS`; the smaller passes before warm up
    the one that counts.

    Args:
        most: so many tokens are never exceeded.
    """
    wanted = min(FIRST_TOKENS, most)
    compute(wanted)
    while True:
        seconds, tokens = timed(compute, wanted)
        if seconds >= SECONDS or wanted >= most:
            return seconds / tokens
        wanted = min(2 * wanted, most)


def timed(compute: Callable[..., int | None], *arguments: int) -> tuple[float, int | None]:
    """Return the seconds that a call takes, work on the GPU included, and its result."""
    wait()
    start = perf_counter()
    result = compute(*arguments)
    wait()
    return perf_counter() - start, result


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
