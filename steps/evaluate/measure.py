"""What a measure returns: for each problem a numerator and a denominator."""

import numpy as np
import pandas as pd


def per_problem(
    group_ids: list[str], numerators: np.ndarray | list, denominators: np.ndarray | list
) -> pd.DataFrame:
    """Sum the numerators and denominators of items over the problems that they belong to.

    Returns:
        Columns numerator and denominator, indexed by group_id, in sorted order. The value of a
        measure is sum(numerator) / sum(denominator).
    """
    items = pd.DataFrame(
        {
            "group_id": pd.Series(group_ids, dtype=object),
            "numerator": np.asarray(numerators, dtype=np.float64),
            "denominator": np.asarray(denominators, dtype=np.float64),
        }
    )
    return items.groupby("group_id").sum()


def share_per_problem(group_ids: list[str], hits: np.ndarray | list) -> pd.DataFrame:
    """Return `per_problem` for a share: each item counts 1 in the denominator."""
    return per_problem(group_ids, hits, np.ones(len(group_ids)))
