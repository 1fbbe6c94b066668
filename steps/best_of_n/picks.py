"""Which two responses two reward models pick from the same N candidates."""

from itertools import product
from math import comb as exact_comb

import numpy as np
from scipy.special import comb


def joint_picks(first: np.ndarray, second: np.ndarray, drawn: int) -> np.ndarray:
    """Return the probability [n, n] that model A picks response i and model B response j.

    Both pick the highest reward of the same N = ``drawn`` responses, drawn without replacement
    from n; each draws evenly among those of equal highest reward, independently of the other. The
    probability is exact: a sum over how many of the other N - 1 or N - 2 responses are below both
    picks (m0 to choose from), tied with i for A only (m1), with j for B only (m2), or with both
    (m3). Without ties that is C(m0, N - 2) / C(n, N) for i != j.

    Args:
        first, second: [n], rewards of A and of B.
    """
    below_a, tied_a = _below_and_tied(first)
    below_b, tied_b = _below_and_tied(second)
    m0, m1 = below_a @ below_b.T, tied_a @ below_b.T
    m2, m3 = below_a @ tied_b.T, tied_a @ tied_b.T
    same = np.eye(len(first))
    total = np.zeros_like(m0)
    for s1, s2, s3 in product(*(range(int(min(m.max(), drawn - 1)) + 1) for m in (m1, m2, m3))):
        rest = drawn - 2 + same - s1 - s2 - s3
        ways = comb(m0, rest) * comb(m1, s1) * comb(m2, s2) * comb(m3, s3)
        total += ways / ((1 + tied_a + s1 + s3) * (1 + tied_b + s2 + s3))
    # Both are drawn: j is not above i for A, nor i above j for B.
    possible = (below_a + tied_a + same) * (below_b + tied_b + same).T
    return possible * total / exact_comb(len(first), drawn)


def _below_and_tied(rewards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for i, k whether k's reward is lower than i's, and whether another's is equal."""
    below = (rewards[None] < rewards[:, None]).astype(np.float64)
    equal = (rewards[None] == rewards[:, None]).astype(np.float64)
    return below, equal - np.eye(len(rewards))
