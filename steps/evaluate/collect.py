"""Every measure of every method on every set, as one long table of per-problem sums."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from steps.config import Experiment
from steps.errors import UserError
from steps.evaluate.baselines import NO_SEED, baseline_rewards
from steps.evaluate.best_of_n import best_of_n_accuracies
from steps.evaluate.first_wrong_step import chance_localisations, model_localisations
from steps.evaluate.length import reward_length_correlation
from steps.evaluate.load import EvaluationSet
from steps.evaluate.pair_accuracy import coin_wins, pair_accuracies, strict_wins

POOLED = "all"
POOLED_METRICS = ("pair_accuracy", "best_of_")

KEYS = ["eval_set", "metric", "method", "seed", "group_id"]

Measures = dict[str, pd.DataFrame]  # metric -> per-problem numerator and denominator


def collect(experiment: Experiment, sets: list[EvaluationSet]) -> pd.DataFrame:
    """Measure all methods on all sets.

    Returns:
        Columns `KEYS`, numerator, denominator: one row per set, metric, method, seed and problem.
        Where several sets have pairs, the set ``all`` holds their problems together.
    """
    frames = []
    for eval_set in sets:
        if eval_set.name == POOLED:
            raise UserError(
                f"the evaluation set '{POOLED}' has the name of the sets taken together; rename it"
            )
        for method, seed, measures in _measure(experiment, eval_set):
            for metric, sums in measures.items():
                keys = {"eval_set": eval_set.name, "metric": metric, "method": method, "seed": seed}
                frames.append(sums.reset_index().assign(**keys))
    columns = [*KEYS, "numerator", "denominator"]
    if not frames:
        return pd.DataFrame(columns=columns)
    table = pd.concat(frames, ignore_index=True)[columns]
    with_pairs = [each.name for each in sets if each.compares]
    if len(with_pairs) > 1:
        table = pd.concat([table, pool(table, with_pairs)], ignore_index=True)
    return table


def pool(table: pd.DataFrame, sets: list[str]) -> pd.DataFrame:
    """Return the pair and best-of-N rows of ``sets`` as one set; a problem in two sets is one."""
    chosen = table["eval_set"].isin(sets) & table["metric"].str.startswith(POOLED_METRICS)
    pooled = table[chosen].assign(eval_set=POOLED)
    return pooled.groupby(KEYS, sort=False, as_index=False).sum()


def _measure(
    experiment: Experiment, eval_set: EvaluationSet
) -> Iterator[tuple[str, int, Measures]]:
    """Yield method, seed and measures of all runs, then of reference models and baselines."""
    for method, seed in experiment.runs:
        rewards = eval_set.rewards(method, seed)
        yield (
            method,
            seed,
            _comparisons(experiment, eval_set, rewards, strict_wins(eval_set, rewards))
            | model_localisations(eval_set, method, seed)
            | reward_length_correlation(eval_set, rewards),
        )
    for name, rewards in eval_set.references.items():
        measures = _comparisons(experiment, eval_set, rewards, strict_wins(eval_set, rewards))
        yield name, NO_SEED, measures | reward_length_correlation(eval_set, rewards)
    for name, rewards in baseline_rewards(eval_set).items():
        # Lengths are often equal: baselines break ties by a coin, and chance is one throughout.
        measures = _comparisons(experiment, eval_set, rewards, coin_wins(eval_set, rewards))
        match name:
            case "random":
                measures |= chance_localisations(eval_set)
            case "generator":
                measures |= reward_length_correlation(eval_set, rewards)
            case "oracle":
                # By construction 1 or, where pairs come from ratings, without meaning.
                measures = {m: s for m, s in measures.items() if m.startswith("best_of_")}
        yield name, NO_SEED, measures


def _comparisons(
    experiment: Experiment, eval_set: EvaluationSet, rewards: np.ndarray, wins: np.ndarray
) -> Measures:
    """Pair accuracies and best-of-N.

    A set that was not made to compare responses has neither.
    """
    if not eval_set.compares:
        return {}
    numbers = experiment.evaluation.best_of
    return pair_accuracies(eval_set, wins) | best_of_n_accuracies(eval_set, rewards, numbers)
