"""The further analyses on constructed scores, against answers worked out by hand or by SciPy."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from steps.config import load_experiment
from steps.config.schema import Evaluation
from steps.evaluate.analyses.calibration import ACCURACY, BRIER, CONFIDENCE, ECE, calibration
from steps.evaluate.analyses.collect import collect_analyses
from steps.evaluate.analyses.length import (
    LONGER,
    PICKED,
    POOLED_CORRELATION,
    SHORTER,
    lengths_of_pairs,
    picked_lengths,
    pooled_correlation,
)
from steps.evaluate.analyses.measure import Key, Measure, correlation, mean
from steps.evaluate.analyses.over_optimisation import GOLD, PROXY, over_optimisation
from steps.evaluate.analyses.prefixes import CORRELATION, PAIR_ACCURACY, prefix_rewards, prefixes
from steps.evaluate.analyses.tables import analysis_tables, bootstrap
from steps.evaluate.analyses.token_changes import (
    CHANGE,
    CHANGE_AT,
    RELATIVE_CHANGE,
    token_changes,
)
from steps.evaluate.analyses.token_changes import CORRELATION as CHANGE_CORRELATION
from steps.evaluate.analyses.wrong_step import AUC, line_ends, token_of_end, wrong_step_auc
from steps.evaluate.best_of_n import best_of_n_accuracies
from steps.evaluate.load import EvaluationSet, read_evaluation_sets
from steps.groups.schema import PromptGroup, Response
from tests.synthetic_scores import evaluation_set, make_pairs, write_experiment

SETTINGS = Evaluation(bootstrap_samples=400)


def value(measure: Measure) -> float:
    (found,), _ = bootstrap([measure], SETTINGS)
    return float(found)


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def test_calibration_by_hand():
    # Three pairs: won at confidence 0.81 and 0.83 (one bin), lost at 0.62.
    rewards = [logit(0.81), 0, logit(0.83), 0, 0, logit(0.62)]
    each = evaluation_set({"p": [True, False], "q": [True, False], "r": [True, False]}, rewards)
    found = calibration(each, each.rewards("orm", 0))
    assert value(found[BRIER]) == pytest.approx((0.19**2 + 0.17**2 + 0.62**2) / 3)
    # The won pairs lie in [0.8, 0.85): |2 - 1.64| / 3; the lost one gives 0.62 / 3.
    assert value(found[ECE]) == pytest.approx((0.36 + 0.62) / 3)
    assert value(found[Key(ACCURACY, 0.825)]) == 1
    assert value(found[Key(CONFIDENCE, 0.825)]) == pytest.approx(0.82)
    assert value(found[Key(ACCURACY, 0.625)]) == 0
    assert Key(ACCURACY, 0.525) not in found


def test_a_tie_has_half_a_confidence_and_is_right_by_a_coin():
    each = evaluation_set({"p": [True, False]}, [1.0, 1.0])
    found = calibration(each, each.rewards("orm", 0))
    assert (value(found[BRIER]), value(found[ECE])) == (0.25, 0)


def test_pair_accuracy_by_which_response_is_longer():
    labels = {"p": [True, False, False, False]}
    each = evaluation_set(labels, [1, 0, 2, 0], lengths=[5, 3, 7, 5])
    found = lengths_of_pairs(each, np.array([1.0, 0.0, 1.0]))
    assert (value(found[LONGER]), value(found[SHORTER])) == (1, 0)


def test_the_pooled_correlation_is_scipys_over_all_responses():
    draw = np.random.default_rng(0)
    rewards, lengths = draw.normal(5, 1, 12), list(draw.integers(10, 90, 12))
    labels = {name: [True, False, False, True] for name in "pqr"}
    each = evaluation_set(labels, list(rewards), lengths)
    rewards = each.rewards("orm", 0)
    (found,) = pooled_correlation(each, rewards).values()
    assert value(found) == pytest.approx(stats.pearsonr(rewards, lengths).statistic)


@pytest.mark.parametrize("offset", [0.0, 0.1, 1e5])
def test_a_correlation_with_a_constant_is_undefined(offset: float):
    problems = np.array(["p", "p", "q"], dtype=object)
    constant = np.full(3, offset)
    assert np.isnan(value(correlation(problems, np.array([1.0, 2.0, 4.0]), constant)))


def test_picked_lengths_and_curves_use_the_problems_with_the_largest_n():
    labels = {"p": [True, False, False], "q": [True, False]}
    each = evaluation_set(labels, [3, 2, 1, 9, 8], lengths=[10, 20, 30, 99, 99])
    found = picked_lengths(each, each.rewards("orm", 0), [1, 3, 5])
    assert {key.at: value(measure) for key, measure in found.items()} == {1: 20, 3: 10}


def test_over_optimisation_by_hand():
    labels = {"p": [True, False], "q": [False, True]}
    each = evaluation_set(labels, [3, 1, 10, 6])
    rewards = each.rewards("orm", 0)
    found = over_optimisation(each, rewards, [1, 2])
    assert value(found[Key(PROXY, 1)]) == 0
    # The picks lie 1 and 2 above the means; the variances within problems are 1 and 4.
    assert value(found[Key(PROXY, 2)]) == pytest.approx(1.5 / 2.5**0.5)
    gold = best_of_n_accuracies(each, rewards, [2])["best_of_2"]["numerator"].mean()
    assert value(found[Key(GOLD, 2)]) == gold == 0.5


def test_over_optimisation_needs_known_correctness_and_rewards_that_differ():
    unknown = evaluation_set({"p": [True, None, False]}, [1, 2, 3])
    assert over_optimisation(unknown, unknown.rewards("orm", 0), [1, 2]) == {}
    equal = evaluation_set({"p": [True, False]}, [1, 1])
    assert np.isnan(value(over_optimisation(equal, equal.rewards("orm", 0), [2])[Key(PROXY, 2)]))


def test_the_prefix_ends_at_the_token_that_reaches_the_share():
    rows = pd.Series([np.arange(1, 11), np.array([5.0]), np.arange(1, 8)])
    assert prefix_rewards(rows, 10).tolist() == [1, 5, 1]
    assert prefix_rewards(rows, 50).tolist() == [5, 5, 4]
    assert prefix_rewards(rows, 70).tolist() == [7, 5, 5]  # 0.7 * 10 > 7 in floating point
    assert prefix_rewards(rows, 100).tolist() == [10, 5, 7]


def test_prefixes_compare_within_problems():
    each = evaluation_set({"p": [True, False], "q": [True, False]}, [2, 1, 12, 11])
    # Ten tokens: the first halves are in reverse order within p and in order within q.
    halves = [1.0, 2.0, 13.0, 11.0]
    tokens = [np.repeat([half, end], 5) for half, end in zip(halves, [2, 1, 12, 11], strict=True)]
    found = prefixes(each, pd.Series(tokens))
    assert value(found[Key(PAIR_ACCURACY, 50)]) == 0.5
    assert value(found[Key(PAIR_ACCURACY, 100)]) == 1
    # Deviations -1/2, 1/2, 1, -1 against 1/2, -1/2, 1/2, -1/2.
    assert value(found[Key(CORRELATION, 50)]) == pytest.approx(0.5 / (2.5 * 1) ** 0.5)
    assert value(found[Key(CORRELATION, 100)]) == pytest.approx(1)


def test_lines_end_before_the_wrong_step():
    text = "ab\n\n cd \nef"
    assert line_ends(text, 7) == [2, 7]
    assert line_ends(text, 6) == [2]
    assert line_ends(text, len(text)) == [2, 7, 11]
    ends = np.array([1, 3, 6, 6])
    assert [token_of_end(ends, end) for end in (1, 2, 3, 6)] == [0, 1, 1, 2]


def annotated(*responses: Response) -> EvaluationSet:
    """Single responses of one character per token, with rewards 0, 1, 2 ... along the text."""
    groups = [PromptGroup(f"g{k}", "t", "c", "Why?", (r,)) for k, r in enumerate(responses)]
    scores = pd.DataFrame(
        {
            "token_rewards": [np.arange(len(r.text) + 1.0) for r in responses],
            "token_ends": [np.array([*range(1, len(r.text) + 1), len(r.text)]) for r in responses],
        }
    )
    return EvaluationSet("test", groups, make_pairs([]), {("orm", 0): scores})


def test_the_auc_compares_line_ends_with_the_wrong_step():
    marks = {"annotated": True, "error_start": 6, "error_end": 8}
    each = annotated(
        Response("ab\ncd\nef", **marks),
        Response("abcdefgh", **marks),  # no line before it
        Response("ab\ncd\nef", hinted=True, **marks),
        Response("ab\ncd\nef", annotated=True),  # no wrong step
    )
    rewards = each.scores["orm", 0]["token_rewards"]
    (key,), (found,) = zip(*wrong_step_auc(each, "orm", 0).items(), strict=True)
    assert (key, value(found), found.sums.denominators.sum()) == (AUC, 0, 1)
    rewards[0][1] = 9  # the first line ends high
    rewards[0][4] = 7  # the second as high as the wrong step
    assert value(wrong_step_auc(each, "orm", 0)[AUC]) == 0.75
    assert wrong_step_auc(annotated(Response("x", annotated=True)), "orm", 0) == {}


def test_token_changes_by_hand():
    each = evaluation_set({"p": [True, False]}, [2, 6], lengths=[3, 2])
    scores = each.scores["orm", 0]
    scores["token_rewards"] = [np.array([0.0, 3.0, 2.0]), np.array([1.0, 6.0])]
    # The first token of a response has no change, whatever its probability.
    logs = [[0.0, np.log(0.25), np.log(0.95)], [0.0, np.log(0.28)]]
    scores["token_log_probs"] = [np.array(row) for row in logs]
    found = token_changes(each, "orm", 0)
    assert value(found[CHANGE]) == 3  # of 3, 1 and 5
    assert value(found[RELATIVE_CHANGE]) == pytest.approx(3 / 2)  # rewards 2 and 6
    expected = stats.pearsonr([3, 1, 5], [0.25, 0.95, 0.28]).statistic
    assert value(found[CHANGE_CORRELATION]) == pytest.approx(expected)
    assert value(found[Key(CHANGE_AT, 0.25)]) == pytest.approx(4 / 3)
    assert value(found[Key(CHANGE_AT, 0.95)]) == pytest.approx(1 / 3)


def test_the_bootstrap_of_a_correlation_agrees_with_scipys():
    draw = np.random.default_rng(3)
    x = draw.normal(size=60)
    y = x + draw.normal(size=60)
    problems = np.array([f"p{k:02}" for k in range(60)], dtype=object)
    settings = Evaluation(bootstrap_samples=2_000)
    _, (ours,) = bootstrap([correlation(problems, x, y)], settings)
    theirs = stats.bootstrap(
        (x, y),
        lambda a, b: stats.pearsonr(a, b).statistic,
        paired=True,
        vectorized=False,
        n_resamples=2_000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert np.quantile(ours, [0.025, 0.975]) == pytest.approx([theirs.low, theirs.high])


def test_one_problem_gives_a_value_without_an_interval():
    values, distribution = bootstrap([mean(np.array(["p", "p"]), np.array([1.0, 2.0]))], SETTINGS)
    assert values.tolist() == [1.5]
    assert np.isnan(distribution).all()


def test_runs_on_other_problems_are_aligned():
    first = mean(np.array(["a", "b"]), np.array([1.0, 3.0]))
    second = mean(np.array(["b", "c"]), np.array([5.0, 7.0]))
    values, _ = bootstrap([first, second], SETTINGS)
    assert values.tolist() == [2, 6]


def test_the_tables_hold_every_set_and_the_pooled_one(tmp_path: Path):
    yaml, results = write_experiment(tmp_path, problems=4)
    experiment = load_experiment(yaml)
    sets = read_evaluation_sets(experiment, results)
    table, gaps = analysis_tables(collect_analyses(experiment, sets), experiment)
    rows = table.set_index(["metric", "eval_set", "method"]).sort_index()
    brier = rows.loc[BRIER.metric]
    assert set(brier.index.get_level_values("eval_set")) == {
        *("in_distribution", "out_of_distribution", "all")
    }
    # Both sets have as many pairs, so the pooled mean is that of the two.
    of_orm = brier.xs("orm", level="method")["value"]
    parts = of_orm[["in_distribution", "out_of_distribution"]]
    assert of_orm["all"] == pytest.approx(parts.mean())
    assert set(brier["seeds"]) == {2}
    assert {ACCURACY, CONFIDENCE} <= set(table["metric"]) - set(gaps["metric"])
    lengths = rows.loc[("picked_length", "all", "longest")]
    assert (lengths["seeds"] == 0).all() and lengths["t_half_width"].isna().all()
    gap = gaps[
        (gaps["metric"] == POOLED_CORRELATION.metric)
        & (gaps["eval_set"] == "all")
        & (gaps["method"] == "icrm")
        & (gaps["reference"] == "orm")
    ].iloc[0]
    pooled = rows.loc[(POOLED_CORRELATION.metric, "all")]["value"]
    assert gap["value"] == pytest.approx(pooled["icrm"] - pooled["orm"])
    assert gap["ci_low"] <= gap["value"] <= gap["ci_high"]


def test_pooled_curves_have_the_same_problems_at_every_n(tmp_path: Path):
    of_four, of_eight = (
        write_experiment(tmp_path / str(size), problems=2, responses=size, seeds=(0,))
        for size in (4, 8)
    )
    experiment = load_experiment(of_four[0])
    few, _, _ = read_evaluation_sets(experiment, of_four[1])
    _, many, _ = read_evaluation_sets(experiment, of_eight[1])
    collected = collect_analyses(experiment, [few, many])
    for metric in (PICKED, PROXY, GOLD):
        numbers = {
            name: {k.at for k in keys if k.metric == metric} for name, keys in collected.items()
        }
        assert numbers == {
            "in_distribution": {1, 2, 4},
            "out_of_distribution": {1, 2, 4, 8},
            "all": {1, 2, 4},
        }
