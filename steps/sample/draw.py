"""The draw of the next token, from random numbers that belong to one sample and one position.

A token is drawn by an exponential race (the Gumbel-max trick): with independent exponential
variables E[v], the token argmax_v log p[v] - log E[v] has the distribution p. The variables come
from the counter-based generator Philox under (seed, prompt, sample) and position, so a sample does
not depend on what else is in its batch. And each belongs to a token: where another batch plan
changes log p by rounding, another token wins only if the best two were that close, whereas with
the inverse of the cumulative distribution each of its thousands of steps would be such a place.
"""

import hashlib
import json

import numpy as np
import torch
from torch import Tensor

from steps.lm_head import nucleus


def sample_key(seed: int, prompt: str, sample: int) -> int:
    """Return the key, 128 bits, of the random numbers of sample ``sample`` of a prompt."""
    content = json.dumps([seed, prompt, sample]).encode()
    return int.from_bytes(hashlib.blake2b(content, digest_size=16).digest(), "little")


def draw_tokens(
    logits: Tensor, keys: list[int], position: int, temperature: float, top_p: float
) -> Tensor:
    """Draw one token for each row, [B].

    Args:
        logits: [B, V], of the next token.
        keys: [B], the `sample_key` of each row.
        position: number of tokens written before, the same for all rows.
        temperature: 0 takes the most probable token.
    """
    if temperature == 0:
        return logits.argmax(1)
    log_probs = torch.log_softmax(logits.float() / temperature, 1)
    if top_p < 1:
        log_probs = nucleus(log_probs, top_p)
    variables = np.stack([_exponentials(key, position, logits.shape[1]) for key in keys])
    race = torch.from_numpy(variables).log_().to(log_probs.device, log_probs.dtype)
    return (log_probs - race).argmax(1)


def _exponentials(key: int, position: int, count: int) -> np.ndarray:
    """Return ``count`` independent exponential variables.

    In double precision: of the single ones about one in 2^23 is zero, and would win every race.
    """
    # The position is the counter's highest word, so no two positions share a number.
    bits = np.random.Philox(key=key, counter=[0, 0, 0, position])
    return np.random.Generator(bits).standard_exponential(count)
