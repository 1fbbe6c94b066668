"""First-wrong-step localisation: does the reward fall most where the first mistake is?

The rule. Let r[0] ... r[T-1] be the rewards at the T tokens of a response (the end-of-turn token
included) and let token t end after character ends[t] of the text.
- The drop of token t+1 is r[t] - r[t+1]; its characters are [ends[t], ends[t+1]). The first token
  has no drop.
- The response is a hit when the token with the largest drop has at least one character in the
  annotated span [error_start, error_end). A token without characters of its own (the end-of-turn
  token) is never inside a span, but competes: a reward that falls most at the very end is a miss.
- Where several tokens share the largest drop, the response counts the share of them inside.
- A reward that never falls is judged at its smallest rise.
Chance is the share of the tokens with a drop that are inside: what a random token would hit.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from steps.evaluate.load import EvaluationSet
from steps.evaluate.measure import share_per_problem

LOCALISATION = "first_wrong_step"
LOCALISATION_HINTED = "first_wrong_step_hinted"


def tokens_inside(token_ends: np.ndarray, start: int, end: int) -> np.ndarray:
    """Return for tokens 1 ... T-1 whether their characters intersect [start, end); bool [T-1]."""
    return np.maximum(token_ends[:-1], start) < np.minimum(token_ends[1:], end)


def largest_drop_inside(
    token_rewards: np.ndarray, token_ends: np.ndarray, start: int, end: int
) -> float:
    """Return 1 if the token with the largest drop is inside the span, else 0 (ties: their share).

    Args:
        token_rewards: [T], T >= 2.
        token_ends: [T], characters of the response that end with each token.
    """
    rewards = np.asarray(token_rewards, dtype=np.float64)
    drops = rewards[:-1] - rewards[1:]
    return float(tokens_inside(token_ends, start, end)[drops == drops.max()].mean())


def chance_inside(token_ends: np.ndarray, start: int, end: int) -> float:
    """Return the probability that a random token (the first excluded) is inside the span."""
    return float(tokens_inside(token_ends, start, end).mean())


def localisations(
    eval_set: EvaluationSet, hit: Callable[[int, int, int], float]
) -> dict[str, pd.DataFrame]:
    """Return the share of hits among annotated responses, without and with hints apart.

    Args:
        hit: maps the number of a response and its span's start and end to its hit in [0, 1].
    """
    problems = [group.group_id for group in eval_set.groups for _ in group.responses]
    lengths = eval_set.any_scores["n_tokens"]
    collected: dict[str, tuple[list[str], list[float]]] = {
        LOCALISATION: ([], []),
        LOCALISATION_HINTED: ([], []),
    }
    for number, response in enumerate(eval_set.responses):
        if not response.annotated or response.error_start is None or lengths[number] < 2:
            continue
        metric = LOCALISATION_HINTED if response.hinted else LOCALISATION
        collected[metric][0].append(problems[number])
        collected[metric][1].append(hit(number, response.error_start, response.error_end))
    return {
        metric: share_per_problem(ids, hits) for metric, (ids, hits) in collected.items() if ids
    }


def model_localisations(eval_set: EvaluationSet, method: str, seed: int) -> dict[str, pd.DataFrame]:
    """Return `localisations` of one trained model."""
    scores = eval_set.scores[method, seed]
    rewards, ends = scores["token_rewards"], scores["token_ends"]
    return localisations(
        eval_set,
        lambda number, start, end: largest_drop_inside(rewards[number], ends[number], start, end),
    )


def chance_localisations(eval_set: EvaluationSet) -> dict[str, pd.DataFrame]:
    """Return `localisations` of a random token."""
    ends = eval_set.any_scores["token_ends"]
    return localisations(
        eval_set, lambda number, start, end: chance_inside(ends[number], start, end)
    )
