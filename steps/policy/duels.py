"""Two policies' answers to the same prompts, under one judge.

Where a policy has several answers to a prompt, each of them meets the other's, except that of its
own number: `steps.sample` draws answers of one number from the same random numbers, so those two
are not independent. The share of wins is then the unbiased estimate of P(A's answer scores higher
than B's) for that prompt.

An empty answer has no score of a judge that reads texts: it loses against every answer and ties
with an empty one. Differences of scores and of lengths are those of two answers.
"""

import numpy as np
import pandas as pd


def duels(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Return one row for every two answers of A and B to the same prompt.

    Args:
        first, second: answers of A and of B: group_id, sample, score (NaN: empty), n_tokens.

    Returns:
        Columns group_id, outcome (1, 0.5 or 0 for A; 0.5 is a tie), score_difference and
        length_difference (A's minus B's; NaN where one is empty).
    """
    columns = ["group_id", "sample", "score", "n_tokens"]
    both = first[columns].merge(second[columns], on="group_id", suffixes=("", "_other"))
    several = both.groupby("group_id")["group_id"].transform("size") > 1
    both = both[~several | (both["sample"] != both["sample_other"])]
    own, other = (both[column].fillna(-np.inf) for column in ("score", "score_other"))
    return pd.DataFrame(
        {
            "group_id": both["group_id"],
            "outcome": np.select([own > other, own < other], [1.0, 0.0], 0.5),
            "score_difference": both["score"] - both["score_other"],
            "length_difference": both["n_tokens"] - both["n_tokens_other"],
        }
    )


def per_prompt(met: pd.DataFrame) -> pd.DataFrame:
    """Return the shares of wins, ties and losses and the mean difference of scores by prompt.

    Returns:
        Columns win, tie, lose, win_rate (a tie is half a win) and score_difference (NaN where no
        two answers met), indexed by group_id.
    """
    kinds = met.assign(
        win=met["outcome"] == 1,
        tie=met["outcome"] == 0.5,
        lose=met["outcome"] == 0,
        win_rate=met["outcome"],
    )
    columns = ["win", "tie", "lose", "win_rate", "score_difference"]
    return kinds.groupby("group_id")[columns].mean()
