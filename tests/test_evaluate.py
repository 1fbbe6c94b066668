"""The evaluation on constructed scores, against answers worked out by hand or by brute force."""

import shutil
import warnings
from dataclasses import replace
from itertools import combinations, permutations
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from steps.config import load_experiment
from steps.config.schema import Evaluation
from steps.errors import UserError
from steps.evaluate.__main__ import main
from steps.evaluate.best_of_n import best_of_n_accuracies, pick_probabilities
from steps.evaluate.collect import collect, pool
from steps.evaluate.first_wrong_step import chance_inside, largest_drop_inside
from steps.evaluate.length import reward_length_correlation
from steps.evaluate.load import EvaluationSet, align_scores, read_evaluation_sets
from steps.evaluate.pair_accuracy import pair_accuracies, strict_wins
from steps.evaluate.statistics import estimate_ratios
from steps.evaluate.tables import result_tables
from steps.groups.schema import PromptGroup, Response, write_groups
from steps.pairs.schema import write_pairs
from steps.score.schema import SCORES, read_origin, read_scores, write_scores
from tests.synthetic_scores import (
    evaluation_set,
    make_pairs,
    make_scores,
    origin_of,
    write_experiment,
)

SETTINGS = Evaluation(bootstrap_samples=2_000)


def value(sums: pd.DataFrame) -> float:
    return sums["numerator"].sum() / sums["denominator"].sum()


def test_a_tie_of_a_pair_counts_zero():
    each = evaluation_set({"p": [True, False, False, False]}, [1.0, 1.0, 0.5, 2.0])
    assert strict_wins(each, each.rewards("orm", 0)).tolist() == [0, 1, 0]


def test_pair_accuracy_of_same_model_pairs_and_categories():
    each = evaluation_set({"p": [True, False, False], "q": [True, False]}, [1, 2, 0, 3, 2])
    measures = pair_accuracies(each, strict_wins(each, each.rewards("orm", 0)))
    assert value(measures["pair_accuracy"]) == 2 / 3
    # Models alternate, so only the first and the third response share one.
    assert measures["pair_accuracy_same_model"].to_dict("index") == {
        "p": {"numerator": 1, "denominator": 1}
    }
    assert value(measures["pair_accuracy[category p]"]) == 1 / 2
    assert value(measures["pair_accuracy[category q]"]) == 1


def brute_force_best_of(rewards: list[float], correct: list[bool], drawn: int) -> float:
    """Mean over all subsets and, within each, over all orders in which ties can be broken."""
    picks = []
    for subset in combinations(range(len(rewards)), drawn):
        for order in permutations(subset):
            picks.append(correct[max(order, key=lambda k: rewards[k])])
    return float(np.mean(picks))


@pytest.mark.parametrize("drawn", [1, 2, 3, 5])
@pytest.mark.parametrize("rewards", [[0.1, 0.9, 0.5, 0.3, 0.7], [1, 1, 0, 1, 0], [2, 2, 2, 2, 2]])
def test_best_of_n_is_the_mean_over_all_subsets(rewards: list[float], drawn: int):
    correct = [True, False, True, False, False]
    expected = brute_force_best_of(rewards, correct, drawn)
    assert pick_probabilities(np.array(rewards), drawn) @ np.array(correct) == pytest.approx(
        expected
    )


def test_best_of_n_leaves_out_small_groups_unknown_correctness_and_too_large_n():
    labels = {"p": [True, False, False], "q": [True, False], "r": [True, None, False, False]}
    each = evaluation_set(labels, [3, 2, 1, 1, 2, 0, 0, 0, 0])
    measures = best_of_n_accuracies(each, each.rewards("orm", 0), [1, 2, 3, 4])
    assert {name: len(sums) for name, sums in measures.items()} == {
        "best_of_1": 2,
        "best_of_2": 2,
        "best_of_3": 1,
    }
    assert measures["best_of_2"]["numerator"].tolist() == pytest.approx([2 / 3, 0])


def test_random_and_oracle_follow_their_formulas(tmp_path: Path):
    yaml, results = write_experiment(tmp_path, responses=5)
    experiment = load_experiment(yaml)
    sums = collect(experiment, read_evaluation_sets(experiment, results))
    sums = sums[sums["eval_set"] == "in_distribution"].set_index(["metric", "method"])
    for drawn in (1, 2, 4):
        random, oracle = (value(sums.loc[(f"best_of_{drawn}", m)]) for m in ("random", "oracle"))
        assert random == pytest.approx(2 / 5)
        assert oracle == pytest.approx(1 - comb(3, drawn) / comb(5, drawn))
    assert value(sums.loc[("pair_accuracy", "random")]) == 0.5


def test_a_problem_without_a_right_response_counts_zero():
    each = evaluation_set({"p": [False, False], "q": [True, False]}, [1, 0, 1, 0])
    assert value(best_of_n_accuracies(each, each.rewards("orm", 0), [2])["best_of_2"]) == 0.5


ENDS = np.array([2, 5, 9, 9])  # tokens [0, 2), [2, 5), [5, 9) and the empty end of turn


@pytest.mark.parametrize(
    ("rewards", "span", "hit"),
    [
        ([1, 0, 0, 0], (2, 5), 1),  # the drop belongs to the second token
        ([1, 0, 0, 0], (0, 2), 0),  # touching is not intersecting
        ([1, 0, 0, 0], (4, 9), 1),  # one common character is enough
        ([1, 0, 0, 0], (5, 9), 0),
        ([1, 1, 1, 0], (0, 9), 0),  # the end of turn has no character
        ([1, 0, -1, -1], (5, 9), 0.5),  # two equal drops, one of them inside
        ([0, 1, 1.5, 3], (5, 9), 1),  # never falls: the smallest rise
        ([0, 0, 0, 0], (2, 9), 2 / 3),
    ],
)
def test_localisation_at_the_borders_of_the_span(rewards: list, span: tuple, hit: float):
    assert largest_drop_inside(np.array(rewards), ENDS, *span) == pytest.approx(hit)


def test_chance_is_the_share_of_tokens_after_the_first():
    assert chance_inside(ENDS, 0, 5) == pytest.approx(1 / 3)
    assert chance_inside(ENDS, 0, 2) == 0


def test_reward_length_correlation_leaves_out_what_is_undefined():
    labels = {"p": [True] * 3, "q": [True] * 2, "r": [True] * 3, "s": [True] * 3}
    each = evaluation_set(
        labels, [1, 2, 3, 1, 2, 5, 5, 5, 1, 2, 3], [3, 4, 5, 3, 9, 1, 2, 3, 7, 7, 7]
    )
    (sums,) = reward_length_correlation(each, each.rewards("orm", 0)).values()
    assert sums["denominator"].to_dict() == {"p": 1, "r": 0}
    assert value(sums) == pytest.approx(1)


def test_bootstrap_of_a_mean_agrees_with_scipy_and_with_the_normal_interval():
    sample = np.random.default_rng(1).normal(size=200)
    (ours,), _ = estimate_ratios(sample[None], np.ones((1, 200)), [], SETTINGS)
    theirs = stats.bootstrap(
        (sample,), np.mean, n_resamples=2_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert (ours.ci_low, ours.ci_high) == pytest.approx((theirs.low, theirs.high))
    half = 1.96 * sample.std() / np.sqrt(200)
    assert ours.ci_high - ours.ci_low == pytest.approx(2 * half, rel=0.1)


def test_bootstrap_resamples_problems_and_weighs_them_by_their_items():
    numerators, denominators = np.array([[0.0, 9.0]]), np.array([[1.0, 9.0]])
    (estimate,), _ = estimate_ratios(numerators, denominators, [], SETTINGS)
    # Both problems 0, one of each, or both 1; each extreme has probability 1/4.
    assert (estimate.value, estimate.ci_low, estimate.ci_high) == (0.9, 0, 1)


def test_a_difference_is_paired():
    draw = np.random.default_rng(2)
    base = draw.normal(size=100)
    both = np.vstack([base + 0.1, base])
    _, (gap,) = estimate_ratios(both, np.ones((2, 100)), [(0, 1)], SETTINGS)
    assert (gap.value, gap.ci_low, gap.ci_high) == pytest.approx((0.1, 0.1, 0.1))


def test_a_difference_uses_the_problems_that_both_have():
    numerators = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    denominators = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, (gap,) = estimate_ratios(numerators, denominators, [(0, 1)], SETTINGS)
    assert (gap.value, gap.ci_low, gap.ci_high) == (0, 0, 0)


@pytest.mark.parametrize("problems", [0, 1, 5])
def test_degenerate_data_give_a_point_or_no_interval_without_a_warning(problems: int):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (estimate,), _ = estimate_ratios(
            np.full((1, problems), 1 / 3), np.ones((1, problems)), [], SETTINGS
        )
    bounds = [estimate.ci_low, estimate.ci_high]
    assert bounds == pytest.approx([1 / 3] * 2) if problems > 1 else np.isnan(bounds).all()


def long_table(rows: list[tuple]) -> pd.DataFrame:
    columns = ["eval_set", "metric", "method", "seed", "group_id", "numerator", "denominator"]
    return pd.DataFrame(rows, columns=columns)


def test_values_are_means_over_seeds_and_n_counts_items(tmp_path: Path):
    yaml, _ = write_experiment(tmp_path)
    sums = long_table(
        [
            ("s", "pair_accuracy", "orm", 0, "p", 2.0, 4.0),
            ("s", "pair_accuracy", "orm", 1, "p", 4.0, 4.0),
            ("s", "pair_accuracy", "orm", 0, "q", 0.0, 2.0),
            ("s", "pair_accuracy", "orm", 1, "q", 1.0, 2.0),
            ("s", "pair_accuracy", "random", -1, "p", 2.0, 4.0),
            ("s", "pair_accuracy", "random", -1, "q", 1.0, 2.0),
        ]
    )
    metrics, differences, seeds = result_tables(sums, load_experiment(yaml))
    assert metrics[["method", "n", "seeds"]].values.tolist() == [["orm", 6, 2], ["random", 6, 0]]
    assert metrics["value"].tolist() == pytest.approx([3.5 / 6, 0.5])
    assert differences["value"].tolist() == pytest.approx([3.5 / 6 - 0.5])
    assert seeds["value"].tolist() == pytest.approx([2 / 6, 5 / 6])


def test_a_difference_to_an_ensemble_rests_on_its_one_run(tmp_path: Path):
    yaml, _ = write_experiment(tmp_path)
    methods = ["orm", "orm_ensemble", "icrm"]
    experiment = load_experiment(yaml).model_copy(update={"methods": methods})
    hits = {("orm", 0): 1.0, ("orm", 1): 2.0, ("orm_ensemble", 0): 3.0}
    hits |= {("icrm", 0): 4.0, ("icrm", 1): 2.0, ("random", -1): 2.0}
    sums = long_table(
        [
            ("s", "pair_accuracy", method, seed, problem, wins, 4.0)
            for (method, seed), wins in hits.items()
            for problem in "pq"
        ]
    )
    metrics, differences, _ = result_tables(sums, experiment)
    table = metrics.set_index("method")
    assert table["seeds"].to_dict() == {"orm": 2, "orm_ensemble": 1, "icrm": 2, "random": 0}
    # Each method's mean is over its own runs; eight pairs are behind every number.
    assert table["value"].tolist() == [1.5 / 4, 3 / 4, 3 / 4, 2 / 4]
    assert (table["n"] == 8).all()
    gaps = differences.set_index(["method", "reference"])
    assert gaps["value"].to_dict() == {
        ("orm", "random"): -0.125,
        ("orm_ensemble", "orm"): 0.375,
        ("orm_ensemble", "random"): 0.25,
        ("icrm", "orm"): 0.375,
        ("icrm", "orm_ensemble"): 0.0,
        ("icrm", "random"): 0.25,
    }
    assert gaps["seeds"].tolist() == [2, 1, 1, 2, 1, 2]


def test_pooling_adds_sets_and_keeps_a_shared_problem_one():
    rows = [
        ("a", "pair_accuracy", "orm", 0, "p", 1.0, 2.0),
        ("b", "pair_accuracy", "orm", 0, "p", 2.0, 2.0),
        ("b", "pair_accuracy", "orm", 0, "q", 0.0, 1.0),
        ("b", "first_wrong_step", "orm", 0, "q", 0.0, 1.0),
        ("c", "pair_accuracy", "orm", 0, "r", 1.0, 1.0),
    ]
    pooled = pool(long_table(rows), ["a", "b"])
    assert pooled.drop(columns=["metric", "method", "seed"]).values.tolist() == [
        ["all", "p", 3.0, 4.0],
        ["all", "q", 0.0, 1.0],
    ]


def test_the_annotated_set_is_neither_compared_nor_pooled(tmp_path: Path):
    yaml, results = write_experiment(tmp_path)
    experiment = load_experiment(yaml)
    sets = read_evaluation_sets(experiment, results)
    assert all(len(each.pairs) for each in sets)
    table = collect(experiment, sets)
    annotated = table[table["eval_set"] == "first_wrong_step"]
    assert not annotated["metric"].str.startswith(("pair_accuracy", "best_of_")).any()
    assert annotated["metric"].str.startswith("first_wrong_step").any()
    assert not table[table["eval_set"] == "all"]["group_id"].str.startswith("first_wrong").any()


def test_baselines_break_ties_by_a_coin(tmp_path: Path):
    yaml, _ = write_experiment(tmp_path)
    rewards = [1.0, 1.0, 0.5, 2.0]
    each = evaluation_set({"p": [True, False, False, False]}, rewards, lengths=[4, 4, 3, 5])
    each.scores["orm", 0]["token_log_probs"] = [np.full(4, -1.0)] * 4
    each.scores["orm", 0]["token_rewards"] = [np.zeros(4)] * 4
    each.scores["orm", 0]["token_ends"] = [np.arange(4)] * 4
    scores = each.scores["orm", 0]
    experiment = load_experiment(yaml).model_copy(update={"methods": ["orm"], "seeds": [0]})
    table = collect(
        experiment, [EvaluationSet("test", each.groups, each.pairs, {("orm", 0): scores})]
    )
    wins = table[table["metric"] == "pair_accuracy"].set_index("method")["numerator"]
    assert wins["orm"] == 1.0
    assert wins["longest"] == wins["shortest"] == wins["random"] == 1.5


def run(monkeypatch: pytest.MonkeyPatch, yaml: Path, results: Path, output: Path) -> None:
    arguments = ["--experiment", yaml, "--results", results, "--output", output]
    card = ["--card", output.parent / "card.json"]
    monkeypatch.setattr("sys.argv", ["evaluate", *map(str, [*arguments, *card])])
    main()


def test_the_command_writes_the_same_bytes_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    yaml, results = write_experiment(tmp_path)
    for name in ("one", "two"):
        run(monkeypatch, yaml, results, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == [
        *("analyses.csv", "analysis_differences.csv", "differences.csv", "manifest.json"),
        *("mcnemar.csv", "metrics.csv", "seeds.csv"),
    ]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert (tmp_path / "card.json").is_file()

    metrics = pd.read_csv(tmp_path / "one/metrics.csv")
    assert list(metrics.columns) == [
        *("method", "eval_set", "metric", "value", "ci_low", "ci_high", "n", "seeds"),
        "t_half_width",
    ]
    table = metrics.set_index(["eval_set", "metric", "method"]).sort_index()
    counts = table["n"]
    # 6 problems of 2 right and 2 wrong responses.
    assert counts["in_distribution", "pair_accuracy", "orm"] == 24
    assert counts["all", "pair_accuracy", "orm"] == 48
    assert counts["all", "best_of_4", "icrm"] == 12
    assert counts["first_wrong_step", "first_wrong_step", "orm"] == 6
    assert counts["first_wrong_step", "first_wrong_step_hinted", "random"] == 6
    # A set without pairs is not there to compare responses; no group has 8 of them.
    assert ("first_wrong_step", "pair_accuracy") not in table.index.droplevel("method")
    assert not metrics["metric"].isin(["best_of_8", "best_of_16"]).any()
    assert (metrics["ci_low"] <= metrics["value"]).all()
    assert (metrics["value"] <= metrics["ci_high"]).all()

    differences = pd.read_csv(tmp_path / "one/differences.csv")
    compared = differences[
        (differences["eval_set"] == "all") & (differences["metric"] == "pair_accuracy")
    ]
    references = compared.groupby("method")["reference"].agg(list)
    baselines = ["random", "longest", "shortest", "generator"]
    assert references["orm"] == baselines
    assert references["icrm"] == ["orm", "grm_release", *baselines]
    gap = compared.set_index(["method", "reference"])["value"]["icrm", "orm"]
    values = table["value"]["all", "pair_accuracy"]
    assert gap == pytest.approx(values["icrm"] - values["orm"], abs=1e-5)


def test_scores_in_another_order_change_nothing(tmp_path: Path):
    yaml, results = write_experiment(tmp_path)
    experiment = load_experiment(yaml)
    before = collect(experiment, read_evaluation_sets(experiment, results))
    path = results / "scores/orm/seed0/in_distribution.parquet"
    write_scores(path, read_scores(path).iloc[::-1], read_origin(path))
    pd.testing.assert_frame_equal(
        before, collect(experiment, read_evaluation_sets(experiment, results))
    )


def test_scores_that_do_not_fit_the_groups_are_refused(tmp_path: Path):
    group = PromptGroup("p", "s", "c", "Why?", (Response("a b c"), Response("d e f")))
    scores = make_scores([group], 1.0, np.random.default_rng(0))
    with pytest.raises(UserError, match=r"x\.parquet: response 1 of group 'p' has no score"):
        align_scores(scores[:1], [group], Path("x.parquet"))
    unknown = pd.concat([scores, scores[:1].assign(response=7)])
    with pytest.raises(UserError, match=r"x\.parquet: row 2: response 7 of group 'p' is not"):
        align_scores(unknown, [group], Path("x.parquet"))


@pytest.mark.parametrize(("method", "seed"), [("orm", 0), ("icrm", 1)])
def test_scores_of_another_model_are_refused(tmp_path: Path, method: str, seed: int):
    yaml, results = write_experiment(tmp_path)
    wrong = results / "scores/icrm/seed0/in_distribution.parquet"
    shutil.copy(results / f"scores/{method}/seed{seed}/in_distribution.parquet", wrong)
    with pytest.raises(UserError, match=f"{wrong} holds the scores of {method} with seed {seed}, "):
        read_evaluation_sets(load_experiment(yaml), results)


def test_scores_of_a_run_come_from_one_model(tmp_path: Path):
    yaml, results = write_experiment(tmp_path)
    path = results / "scores/icrm/seed1/out_of_distribution.parquet"
    again = replace(origin_of("icrm", 1), sha256="of the model trained again")
    write_scores(path, read_scores(path), again)
    with pytest.raises(UserError, match=f"{path} has the scores of another model than 'in_dist"):
        read_evaluation_sets(load_experiment(yaml), results)


def test_scores_that_do_not_name_their_model_are_refused(tmp_path: Path):
    yaml, results = write_experiment(tmp_path)
    path = results / "scores/icrm/seed0/in_distribution.parquet"
    scores = pa.Table.from_pandas(read_scores(path), schema=SCORES, preserve_index=False)
    pq.write_table(scores, path)
    with pytest.raises(UserError, match="does not tell which model its scores come from"):
        read_evaluation_sets(load_experiment(yaml), results)


def test_missing_scores_and_missing_groups_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    yaml, results = write_experiment(tmp_path)
    missing = results / "scores/icrm/seed1/out_of_distribution.parquet"
    missing.unlink()
    with pytest.raises(UserError, match=f"{missing} is not there"):
        run(monkeypatch, yaml, results, tmp_path / "evaluation")
    assert not (tmp_path / "evaluation").exists()

    experiment = load_experiment(yaml)
    for name in experiment.evaluation_sets:
        write_groups(results / "groups" / f"{name}.parquet", [])
        empty = make_pairs([])
        write_pairs(results / "pairs" / f"{name}.parquet", empty)
        for scores in results.glob(f"scores/*/*/{name}.parquet"):
            write_scores(scores, read_scores(scores).iloc[:0], read_origin(scores))
        other = read_scores(results / "scores/icrm/seed0" / f"{name}.parquet")
        write_scores(missing, other, origin_of("icrm", 1))
    with pytest.raises(UserError, match="no evaluation set has a single group"):
        run(monkeypatch, yaml, results, tmp_path / "evaluation")
