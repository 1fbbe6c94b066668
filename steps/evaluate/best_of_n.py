"""Best-of-N: which response is picked, and how often it is right."""

from functools import cache
from math import comb, log

import numpy as np
import pandas as pd

from steps.evaluate.load import EvaluationSet
from steps.evaluate.measure import share_per_problem
from steps.groups.schema import PromptGroup


def kl_of_best_of(drawn: int) -> float:
    """Return the divergence, in nats, of best-of-N from the sampler: log N - (N - 1) / N.

    An upper bound, reached where no two samples are alike (arXiv 2401.01879).
    """
    return log(drawn) - (drawn - 1) / drawn


@cache
def rank_weights(scored: int, drawn: int) -> np.ndarray:
    """Return the probability [scored] that the response of each rank is the pick.

    N = ``drawn`` responses are drawn without replacement from n = ``scored``; the pick is the one
    with the highest reward. Rank i (1 = lowest reward) is picked with probability
    C(i-1, N-1) / C(n, N), the share of subsets in which it is the highest.
    """
    subsets = comb(scored, drawn)
    return np.array([comb(rank, drawn - 1) / subsets for rank in range(scored)])


def pick_probabilities(rewards: np.ndarray, drawn: int) -> np.ndarray:
    """Return the probability [n] that best-of-N picks each of n scored responses.

    Responses with equal rewards share the probability of their ranks equally. This is the exact
    expectation of breaking ties by a draw: the same value as a seeded draw has on average, without
    its noise and without a seed.
    """
    _, level, sizes = np.unique(rewards, return_inverse=True, return_counts=True)
    first_rank = np.cumsum(sizes) - sizes
    shared = np.add.reduceat(rank_weights(len(rewards), drawn), first_rank) / sizes
    return shared[level]


def best_of_n_accuracies(
    eval_set: EvaluationSet, rewards: np.ndarray, numbers: list[int]
) -> dict[str, pd.DataFrame]:
    """Return the unbiased best-of-N accuracy for each N of ``numbers``.

    Only groups count in which the correctness of every response is known and that have at least N
    responses; an N that no group reaches is left out. A group without a right response counts 0.

    Args:
        rewards: [R]. Equal rewards give the random pick, the correctness itself gives the oracle.
    """
    known = _known(eval_set)
    accuracies = {}
    for drawn in sorted(set(numbers)):
        groups = [group for group in known if len(group.responses) >= drawn]
        expected = [
            pick_probabilities(rewards[eval_set.rows(group)], drawn)
            @ np.array([response.correct for response in group.responses], dtype=np.float64)
            for group in groups
        ]
        if groups:
            problems = [group.group_id for group in groups]
            accuracies[f"best_of_{drawn}"] = share_per_problem(problems, expected)
    return accuracies


def groups_with(eval_set: EvaluationSet, numbers: list[int]) -> tuple[list[int], list[PromptGroup]]:
    """Return the Ns that any group reaches, ascending, and the groups that reach the largest.

    Curves over N are drawn from the same groups at every N, those of which every response's
    correctness is known.
    """
    known = _known(eval_set)
    largest = max((len(group.responses) for group in known), default=0)
    reached = sorted({drawn for drawn in numbers if drawn <= largest})
    return reached, [g for g in known if reached and len(g.responses) >= reached[-1]]


def _known(eval_set: EvaluationSet) -> list[PromptGroup]:
    """The groups in which the correctness of every response is known."""
    return [g for g in eval_set.groups if all(r.correct is not None for r in g.responses)]
