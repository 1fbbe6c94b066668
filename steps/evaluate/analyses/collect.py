"""All analyses of every run on every set, and on the sets with pairs taken together."""

from collections.abc import Iterator
from typing import NamedTuple

from steps.config import Experiment
from steps.evaluate.analyses.calibration import calibration
from steps.evaluate.analyses.length import (
    PICKED,
    lengths_of_pairs,
    picked_lengths,
    pooled_correlation,
)
from steps.evaluate.analyses.measure import Key, Measure, Measures, Sums, all_problems
from steps.evaluate.analyses.over_optimisation import GOLD, PROXY, over_optimisation
from steps.evaluate.analyses.prefixes import prefixes
from steps.evaluate.analyses.token_changes import token_changes
from steps.evaluate.analyses.wrong_step import wrong_step_auc
from steps.evaluate.baselines import NO_SEED, REFERENCES, baseline_rewards
from steps.evaluate.collect import POOLED
from steps.evaluate.load import EvaluationSet
from steps.evaluate.pair_accuracy import coin_wins, strict_wins

# The curves over N: the same problems at every N.
OVER_N = (PICKED, PROXY, GOLD)


class Run(NamedTuple):
    """A trained model (or ensemble), or a baseline with the seed `NO_SEED`."""

    method: str
    seed: int


# Set -> number -> run -> its sums.
Collected = dict[str, dict[Key, dict[Run, Measure]]]


def collect_analyses(experiment: Experiment, sets: list[EvaluationSet]) -> Collected:
    """Run every analysis; a number that a set cannot give is left out."""
    collected: Collected = {}
    for eval_set in sets:
        keys = collected.setdefault(eval_set.name, {})
        for run, measures in _runs(experiment, eval_set):
            for key, measure in measures.items():
                keys.setdefault(key, {})[run] = measure
    compared = [each.name for each in sets if each.compares]
    if len(compared) > 1:
        collected[POOLED] = _pool([collected[name] for name in compared])
    return collected


def _runs(experiment: Experiment, eval_set: EvaluationSet) -> Iterator[tuple[Run, Measures]]:
    """Yield every run with its measures, then the baselines with those of length."""
    numbers = experiment.evaluation.best_of
    for method, seed in experiment.runs:
        measures = wrong_step_auc(eval_set, method, seed)
        if eval_set.compares:
            rewards = eval_set.rewards(method, seed)
            measures |= calibration(eval_set, rewards)
            measures |= lengths_of_pairs(eval_set, strict_wins(eval_set, rewards))
            measures |= pooled_correlation(eval_set, rewards)
            measures |= picked_lengths(eval_set, rewards, numbers)
            measures |= over_optimisation(eval_set, rewards, numbers)
            measures |= prefixes(eval_set, eval_set.scores[method, seed]["token_rewards"])
            measures |= token_changes(eval_set, method, seed)
        yield Run(method, seed), measures
    if eval_set.compares:
        rewards_of = baseline_rewards(eval_set)
        for name in REFERENCES:
            wins = coin_wins(eval_set, rewards_of[name])
            measures = lengths_of_pairs(eval_set, wins)
            measures |= picked_lengths(eval_set, rewards_of[name], numbers)
            yield Run(name, NO_SEED), measures


def _pool(sets: list[dict[Key, dict[Run, Measure]]]) -> dict[Key, dict[Run, Measure]]:
    """Add up the sums of several sets; a problem in two sets is one.

    A curve over N has those Ns that all its sets reach: beyond, it would go on with fewer problems.
    """
    pooled: dict[Key, dict[Run, Measure]] = {}
    shared = {metric: _shared_numbers(sets, metric) for metric in OVER_N}
    for keys in sets:
        for key, runs in keys.items():
            if key.metric in shared and key.at not in shared[key.metric]:
                continue
            for run, measure in runs.items():
                of_key = pooled.setdefault(key, {})
                of_key[run] = _added(of_key[run], measure) if run in of_key else measure
    return pooled


def _shared_numbers(sets: list[dict[Key, dict[Run, Measure]]], metric: str) -> set[float]:
    """The Ns of a curve in every set that has it."""
    reached = [{key.at for key in keys if key.metric == metric} for keys in sets]
    return set.intersection(*filter(None, reached)) if any(reached) else set()


def _added(one: Measure, other: Measure) -> Measure:
    problems = all_problems([one.sums, other.sums])
    a, b = one.sums.of(problems), other.sums.of(problems)
    numerators, denominators = a.numerators + b.numerators, a.denominators + b.denominators
    return Measure(Sums(problems, numerators, denominators), one.combine)
