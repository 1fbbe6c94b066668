"""Intervals over seeds, p-values, McNemar's test and Holm's correction, checked by hand."""

from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steps.config import load_experiment
from steps.config.schema import Evaluation
from steps.evaluate.load import EvaluationSet
from steps.evaluate.mcnemar import exact_p_value, mcnemar_table
from steps.evaluate.seeds import t_half_width, t_half_width_of_difference
from steps.evaluate.statistics import estimate_ratios, p_value
from steps.report.conclusions import family, sentences_between, summary
from steps.report.holm import CORRECTED, correct, too_few_resamples
from tests.synthetic_scores import evaluation_set, write_experiment


def test_the_t_interval_of_three_runs():
    # Standard deviation 0.1; t_{0.975, 2} = 4.303 in every printed table.
    runs = {0: 0.5, 1: 0.6, 2: 0.7}
    assert t_half_width(runs, 0.95) == pytest.approx(4.303 * 0.1 / 3**0.5, abs=1e-4)
    assert t_half_width({0: 0.5, 1: 0.5}, 0.95) == 0


def test_one_run_gives_no_interval_over_seeds():
    assert np.isnan(t_half_width({7: 0.5}, 0.95))
    assert np.isnan(t_half_width({}, 0.95))
    assert np.isnan(t_half_width({0: 0.5, 1: np.nan}, 0.95))


def test_a_difference_pairs_runs_by_their_seed():
    method, reference = {0: 0.5, 1: 0.7, 2: 0.9}, {2: 0.8, 0: 0.4, 1: 0.6}
    assert t_half_width_of_difference(method, reference, 0.95) == pytest.approx(0, abs=1e-11)
    assert t_half_width_of_difference(method, None, 0.95) == t_half_width(method, 0.95)
    assert np.isnan(t_half_width_of_difference(method, {5: 0.1}, 0.95))


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        ([1.0] * 99, 2 / 100),  # all above zero: never 0
        ([-1.0] * 99, 2 / 100),
        ([1.0] * 97 + [-1.0, 0.0], 2 * 3 / 100),
        ([0.0] * 99, 1),
        ([np.nan, 1.0], 2 * 1 / 2),
    ],
)
def test_the_bootstrap_p_value(distribution: list[float], expected: float):
    assert p_value(np.array(distribution)) == pytest.approx(expected)


def test_the_p_value_is_that_of_the_normal_test():
    """A mean of 400 numbers two standard errors above zero: p = 0.0455."""
    sample = np.random.default_rng(0).normal(size=400)
    sample = (sample - sample.mean()) / sample.std(ddof=1) + 2 / 20
    both = np.vstack([sample, np.zeros(400)])
    settings = Evaluation(bootstrap_samples=20_000)
    _, (gap,) = estimate_ratios(both, np.ones((2, 400)), [(0, 1)], settings)
    assert gap.p_value == pytest.approx(0.0455, abs=0.008)


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (3, 2), (8, 1), (0, 5)])
def test_mcnemar_is_the_binomial_test(won: int, lost: int):
    n = won + lost
    tail = sum(comb(n, k) for k in range(min(won, lost) + 1)) / 2**n
    assert exact_p_value(won, lost) == pytest.approx(min(1, 2 * tail))


def test_mcnemar_counts_majorities_of_runs_and_each_problem_once(tmp_path: Path):
    yaml, _ = write_experiment(tmp_path)
    changes = {"methods": ["orm", "icrm"], "seeds": [0, 1, 2]}
    experiment = load_experiment(yaml).model_copy(update=changes)
    labels = {"p": [True, False, False, False], "q": [True, False]}
    runs = {
        # Of p's three pairs and q's one, orm wins none: at q only one of three runs does.
        ("orm", 0): [0, 1, 1, 1, 1, 0],
        ("orm", 1): [0, 1, 1, 1, 0, 1],
        ("orm", 2): [0, 1, 1, 1, 0, 1],
        # icrm wins two of p's pairs and q's.
        ("icrm", 0): [1, 0, 0, 1, 1, 0],
        ("icrm", 1): [1, 0, 0, 1, 1, 0],
        ("icrm", 2): [0, 1, 1, 1, 0, 1],
    }
    sets = [evaluation_set(labels, rewards) for rewards in runs.values()]
    scores = {run: each.scores["orm", 0] for run, each in zip(runs, sets, strict=True)}
    together = EvaluationSet("test", sets[0].groups, sets[0].pairs, scores)
    (row,) = mcnemar_table(experiment, [together]).itertuples(index=False)
    assert (row.method, row.reference, row.eval_set) == ("icrm", "orm", "test")
    assert (row.pairs_method, row.pairs_reference) == (3, 0)
    assert row.pairs_p_value == pytest.approx(0.25)
    assert (row.problems_method, row.problems_reference) == (2, 0)
    assert row.problems_p_value == pytest.approx(0.5)


def a_family(p_values: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("icrm", "orm", f"best-of-{k + 1}, s", 0.1, 0.02, 0.2, 9, 3, 0.01, p)
            for k, p in enumerate(p_values)
        ],
        columns=[
            *("method", "reference", "number", "value", "ci_low", "ci_high"),
            *("n", "seeds", "t_half_width", "p_value"),
        ],
    )


def test_holm_multiplies_by_the_comparisons_that_are_left():
    corrected = correct(a_family([0.01, 0.04, 0.03, np.nan]))[CORRECTED]
    # Sorted 0.01, 0.03, 0.04: times 3, 2, 1, and none below the one before it.
    assert corrected[:3].tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(corrected[3])
    assert correct(a_family([])).empty


def test_the_lines_say_what_stands_after_correction():
    settings = Evaluation()
    both = correct(a_family([0.01, 0.04, 0.03]))
    (found,) = summary(both, settings)
    assert found == (
        "After Holm's correction for these 3 comparisons at a level of 0.05, this can be concluded "
        "(1 of 3): best-of-1, s: ICRM higher than ORM."
    )
    first, second, _ = sentences_between(both, settings)
    assert first.endswith(": higher, p 0.01, corrected 0.03.")
    assert second.endswith(": higher by itself, not after correction, p 0.04, corrected 0.06.")
    (nothing,) = summary(correct(a_family([0.04, 0.04])), settings)
    assert "nothing can be concluded" in nothing
    (wide,) = sentences_between(correct(a_family([0.01]).assign(t_half_width=0.3)), settings)
    assert wide.endswith("corrected 0.01, within the spread over seeds.")


def test_too_few_resamples_for_a_family_are_told():
    assert too_few_resamples(100, Evaluation(bootstrap_samples=10_000)) == ""
    few = too_few_resamples(300, Evaluation(bootstrap_samples=10_000))
    assert few.endswith("set evaluation.bootstrap_samples to 12,000 or more")
    assert too_few_resamples(300, Evaluation(bootstrap_samples=12_000)) == ""


def test_a_family_has_the_columns_and_references_that_are_asked_for():
    metrics = pd.Series(["best_of_1", "best_of_2", "best_of_3"])

    class Known:
        differences = a_family([0.01, 0.04, 0.03]).assign(eval_set="s", metric=metrics)

    found = family(Known(), [("s", "best_of_2")], ["orm"])
    assert found["number"].tolist() == ["best-of-2 accuracy, s"]
    assert family(Known(), [("s", "best_of_2")], ["orm"])[CORRECTED].tolist() == [0.04]
    assert family(Known(), [("s", "best_of_2")], ["longest"]).empty
