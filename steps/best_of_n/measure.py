"""What every method's pick of N is worth, for every prompt, exact over all draws of N."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from steps.best_of_n.candidates import Candidates, PerGroup
from steps.best_of_n.picks import joint_picks
from steps.evaluate.baselines import NO_SEED
from steps.evaluate.best_of_n import pick_probabilities

NO_JUDGE = ""  # of what no judge decides
OUTCOMES = ("win", "tie", "lose", "win_rate")  # a tie is half a win
# Of each: value = sum over prompts of numerator / sum of denominator.
SUMS = ["judge", "metric", "method", "seed", "drawn", "group_id", "numerator", "denominator"]

Runs = dict[tuple[str, int], PerGroup]


def picking_rules(candidates: Candidates) -> Runs:
    """Return the rewards of all that pick: the trained methods, and three rules without one."""
    lengths = candidates.n_tokens
    return candidates.rewards | {
        ("longest", NO_SEED): lengths,
        ("shortest", NO_SEED): [-each for each in lengths],
        ("random", NO_SEED): [np.zeros(len(each)) for each in lengths],
    }


def pick_sums(candidates: Candidates) -> pd.DataFrame:
    """Return the worth of every pick, columns `SUMS`.

    Metrics: ``score`` is the judge's score of the pick, ``gain`` its distance from the mean of all
    samples in standard deviations of the judge's scores within a prompt. ``reward_gain`` is the
    same for the model's own reward: the two gains drift apart where a model is over-optimised.
    ``n_tokens`` is the length of the pick.
    """
    rows = []
    for run, rewards in picking_rules(candidates).items():
        valued = {(NO_JUDGE, "n_tokens"): candidates.n_tokens}
        if run in candidates.rewards:
            valued[NO_JUDGE, "reward_gain"] = rewards
        for judge, scores in candidates.judges.items():
            valued |= {(judge, "score"): scores, (judge, "gain"): scores}
        rows += _worth(candidates, run, rewards, valued)
    for judge, scores in candidates.judges.items():
        best = {(judge, "score"): scores, (judge, "gain"): scores}
        rows += _worth(candidates, ("oracle", NO_SEED), scores, best)
    return pd.DataFrame(rows, columns=SUMS)


def _worth(
    candidates: Candidates,
    run: tuple[str, int],
    rewards: PerGroup,
    valued: dict[tuple[str, str], PerGroup],
) -> Iterator[tuple]:
    """Yield the rows of one picking rule for each (judge, metric) and its values."""
    units = {
        key: _spread(values) if key[1].endswith("gain") else 1.0 for key, values in valued.items()
    }
    for place, group in enumerate(candidates.groups):
        for drawn in candidates.drawn:
            picked = pick_probabilities(rewards[place], drawn)
            for (judge, metric), values in valued.items():
                own = values[place]
                value = picked @ (own - own.mean() if metric.endswith("gain") else own)
                unit = units[judge, metric]
                yield judge, metric, *run, drawn, group.group_id, value, unit


def _spread(values: PerGroup) -> float:
    """The standard deviation within a prompt, over all prompts."""
    return float(np.concatenate([own - own.mean() for own in values]).std())


def outcome_sums(
    candidates: Candidates, pairs: list[tuple[str, str]]
) -> Iterator[tuple[str, str, str, int, np.ndarray]]:
    """Yield judge, method, reference, N, and the probabilities of `OUTCOMES` by prompt, [4, P].

    Both methods pick among the same N responses. Every seed of one meets every seed of the other.

    Args:
        pairs: of method and reference.
    """
    rules = picking_rules(candidates)
    runs_of: dict[str, list[PerGroup]] = {}
    for (method, _), rewards in rules.items():
        runs_of.setdefault(method, []).append(rewards)
    for method, reference in pairs:
        meetings = [(a, b) for a in runs_of[method] for b in runs_of[reference]]
        for drawn in candidates.drawn:
            joint = [
                np.mean([joint_picks(a[place], b[place], drawn) for a, b in meetings], axis=0)
                for place in range(len(candidates.groups))
            ]
            for judge, scores in candidates.judges.items():
                outcomes = [_outcomes(*each) for each in zip(joint, scores, strict=True)]
                yield judge, method, reference, drawn, np.array(outcomes).T


def _outcomes(joint: np.ndarray, scores: np.ndarray) -> tuple[float, float, float, float]:
    """Return the probabilities that A's pick scores higher than B's, the same, or lower."""
    win = joint[scores[:, None] > scores[None]].sum()
    lose = joint[scores[:, None] < scores[None]].sum()
    tie = joint[scores[:, None] == scores[None]].sum()
    return win, tie, lose, win + tie / 2
