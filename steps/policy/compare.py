"""From judged answers to the numbers of single policies and of their comparisons."""

import numpy as np
import pandas as pd
from scipy.stats import permutation_test
from statsmodels.stats.multitest import multipletests

from steps.config import Experiment
from steps.config.schema import Evaluation
from steps.evaluate.baselines import NO_SEED
from steps.evaluate.statistics import Estimate, estimate_ratios
from steps.policy.duels import duels, per_prompt
from steps.policy.length_control import length_controlled
from steps.policy.names import REFERENCE, policy_name

POLICY_COLUMNS = ["policy", "judge", "metric", "value", "ci_low", "ci_high", "n", "seeds"]
COMPARISON_COLUMNS = [
    *("policy", "opponent", "judge", "metric", "value", "ci_low", "ci_high"),
    *("p_value", "p_holm", "n", "seeds"),
]
SEED_COLUMNS = ["policy", "seed", "judge", "metric", "value"]
TESTED = {"win_rate": 0.5, "score_difference": 0.0}  # metric -> its value if A and B are equal
LENGTH_CONTROLLED = "length_controlled_win_rate"


def seeds_of(policy: str, experiment: Experiment) -> list[int]:
    """Return the seeds of a method's policies; the reference is one, without a seed."""
    if policy == REFERENCE:
        return [NO_SEED]
    return [seed for method, seed in experiment.policy_runs if method == policy]


def methods_of(experiment: Experiment) -> list[str]:
    """Return the methods that policies were made of."""
    return list(dict.fromkeys(method for method, _ in experiment.policy_runs))


def policy_rows(
    measured: pd.DataFrame, judge: str, metric: str, column: str, experiment: Experiment
) -> tuple[list[dict], list[dict]]:
    """Return the mean of a column for each method and the reference, and for each single seed.

    A value is the mean over prompts of the mean over a prompt's answers and over seeds; the
    interval is the bootstrap's over prompts. A method of which nothing is measured has no row.

    Args:
        measured: policy, group_id and ``column`` (NaN: not measured), one row per answer.
    """
    means = measured.groupby(["policy", "group_id"])[column].mean().unstack("policy")
    rows, single = [], []
    keys = {"judge": judge, "metric": metric}
    for policy in [REFERENCE, *methods_of(experiment)]:
        seeds = seeds_of(policy, experiment)
        runs = means.reindex(columns=[_run(policy, seed) for seed in seeds])
        if runs.isna().all().any():
            continue
        trained = 0 if policy == REFERENCE else len(seeds)
        values = runs.mean(axis=1)
        (estimate,) = _estimate([values], experiment.evaluation)
        rows.append({"policy": policy} | keys | _shown(estimate, values.count(), trained))
        single += [
            {"policy": policy, "seed": seed, "value": runs[name].mean()} | keys
            for seed, name in zip(seeds, runs, strict=True)
        ]
    return rows, single


def comparison_rows(judged: pd.DataFrame, judge: str, experiment: Experiment) -> list[dict]:
    """Return win, tie, loss, win rate (raw and length-controlled) and difference of mean scores.

    Each method meets those before it and the reference; every seed of the one meets every seed of
    the other.

    Args:
        judged: policy, group_id, sample, score and n_tokens, one row per answer.
    """
    answers = dict(list(judged.groupby("policy")))
    rows = []
    methods = methods_of(experiment)
    for place, policy in enumerate(methods):
        for opponent in [REFERENCE, *methods[:place]]:
            seeds = seeds_of(policy, experiment), seeds_of(opponent, experiment)
            met = pd.concat(
                duels(answers[_run(policy, a)], answers[_run(opponent, b)])
                for a in seeds[0]
                for b in seeds[1]
            )
            keys = {"policy": policy, "opponent": opponent, "judge": judge}
            trained = min(len(own) for own in seeds if own != [NO_SEED])
            rows += [keys | row for row in _compared(met, trained, experiment)]
    return rows


def _compared(met: pd.DataFrame, seeds: int, experiment: Experiment) -> list[dict]:
    settings = experiment.evaluation
    prompts = per_prompt(met)
    estimates = dict(
        zip(prompts, _estimate(list(map(prompts.get, prompts)), settings), strict=True)
    )
    counts = prompts.count().to_dict()
    two = met.dropna(subset="length_difference")  # with an empty answer there is no equal length
    estimates[LENGTH_CONTROLLED] = length_controlled(two, settings.confidence)
    counts[LENGTH_CONTROLLED] = two["group_id"].nunique()
    rows = []
    for metric, estimate in estimates.items():
        row = {"metric": metric} | _shown(estimate, counts[metric], seeds)
        if metric in TESTED:
            row["p_value"] = _p_value(prompts[metric] - TESTED[metric], settings)
        rows.append(row)
    return rows


def holm(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return the comparisons with ``p_holm``: Holm's correction over all tests of the table."""
    tested = comparisons["p_value"].notna()
    corrected = comparisons.assign(p_holm=np.nan)
    if tested.any():
        values = multipletests(comparisons.loc[tested, "p_value"], method="holm")[1]
        corrected.loc[tested, "p_holm"] = values
    return corrected


def _p_value(differences: pd.Series, settings: Evaluation) -> float:
    """Test that the mean over prompts is zero: two-sided, by exchanging A and B at random prompts.

    Exact where there are fewer exchanges than ``bootstrap_samples``.
    """
    values = differences.dropna().to_numpy()
    if len(values) < 2 or not values.any():
        return 1.0
    result = permutation_test(
        (values,),
        lambda drawn, axis: drawn.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=settings.bootstrap_samples,
        rng=np.random.default_rng(settings.bootstrap_seed),
    )
    return float(result.pvalue)


def _run(policy: str, seed: int) -> str:
    return REFERENCE if policy == REFERENCE else policy_name(policy, seed)


def _estimate(values: list[pd.Series], settings: Evaluation) -> list[Estimate]:
    """Estimate means over the same prompts; one without a value (NaN) does not count."""
    given = np.vstack([each.to_numpy(np.float64) for each in values])
    known = ~np.isnan(given)
    return estimate_ratios(np.where(known, given, 0), known.astype(np.float64), [], settings)[0]


def _shown(estimate: Estimate, prompts: int, seeds: int) -> dict[str, float]:
    return {
        "value": estimate.value,
        "ci_low": estimate.ci_low,
        "ci_high": estimate.ci_high,
        "n": prompts,
        "seeds": seeds,
    }
