"""RewardBench 2: the rules, on results with known scores."""

import math

import numpy as np
import pytest

from steps.benchmarks.items import ITEMS
from steps.benchmarks.rewardbench2 import rewardbench2, share_of_the_best
from steps.benchmarks.scores import score_table
from steps.config.schema import Evaluation
from steps.errors import UserError
from tests.benchmark_items import Row, make_table, random_rows, random_ties, values

RULES = ("present", "0.1.4")


def question(k: int, right: list[float], wrong: float, ref_gap: float) -> list[Row]:
    """Return the two prompts of a question of Ties."""
    return [
        (f"Ties/tied:{k}", "Ties", len(right), [*right, wrong, wrong - 1]),
        (f"Ties/ref:{k}", "Ties", 1, [ref_gap, 0.0, -1.0]),
    ]


def ties(rows: list[Row], rule: str) -> float:
    benchmark = rewardbench2(rule)
    return values(benchmark, make_table(benchmark, rows))["Ties"]


def test_the_published_counts() -> None:
    rows = {name: subset.rows for name, subset in rewardbench2().subsets.items()}
    assert rows == {
        "Factuality": 475,
        "Precise IF": 160,
        "Math": 183,
        "Safety": 450,
        "Focus": 495,
        "Ties": 102,
    }
    assert sum(rows.values()) == 1865


@pytest.mark.parametrize(
    ("rewards", "share"),
    [
        ([2, 1, 0, 1], 1),
        ([2, 2, 0, 1], 1 / 2),
        ([2, 2, 2, 2], 1 / 4),
        ([1, 2, 0, 0], 0),
        ([1, 2, 2, 1], 0),
    ],
)
def test_the_highest_reward_is_shared(rewards: list[float], share: float) -> None:
    assert share_of_the_best(np.array(rewards)) == share


def test_the_score_is_the_plain_mean_of_six() -> None:
    benchmark = rewardbench2()
    rows = [(f"Factuality/{k}", "Factuality", 1, [1.0, 1.0, 0.0, 0.0]) for k in range(8)]
    rows += [(f"{s}/0", s, 1, [1.0, 0.0, 0.0, 0.0]) for s in ("Math", "Focus", "Safety")]
    rows += [("Precise IF/0", "Precise IF", 1, [0.0, 1.0, 0.0, 0.0])]
    rows += question(0, [3.0, 2.0], 4.0, -1.0)
    found = values(benchmark, make_table(benchmark, rows))
    assert found["Factuality"] == 0.5 and found["Math"] == 1 and found["Precise IF"] == 0
    # Nothing is accurate, H = -2 and S = 1.
    assert found["Ties"] == pytest.approx(0.01 * math.tanh(-3))
    assert found["Score"] == pytest.approx((0.5 + 3 + 0.01 * math.tanh(-3)) / 6)


@pytest.mark.parametrize("rule", RULES)
def test_each_part_of_ties(rule: str) -> None:
    # G = 2 above S = 1; the ref's gap of 0.5 is accurate, but H = 0.5 is not above S.
    rows = question(0, [3.0, 2.0], 0.0, 0.5)
    assert ties(rows, rule) == pytest.approx(0.3 + 0.3 + 0.2 + 0.01 * math.tanh(-0.5))
    # A gap of 0 is not accurate, a gap equal to the spread not above it.
    rows = question(0, [3.0, 2.0], 1.0, 0.0)
    assert ties(rows, rule) == pytest.approx(0.3 + 0.01 * math.tanh(-1))
    # Both: the means are over questions.
    rows += question(1, [3.0, 2.0], 0.0, 9.0)
    both = 0.3 + 0.3 / 2 + 0.2 / 2 + 0.2 / 2 + 0.01 * (math.tanh(-1) + math.tanh(1)) / 2
    assert ties(rows, rule) == pytest.approx(both)


def test_equal_right_answers() -> None:
    """S = 0: tanh of an infinity, or left out."""
    ahead = question(0, [2.0, 2.0], 0.0, 1.0)
    assert ties(ahead, "present") == pytest.approx(1.01)
    assert ties(ahead, "0.1.4") == pytest.approx(1.0)
    behind = question(0, [2.0, 2.0], 3.0, 1.0)
    assert ties(behind, "present") == pytest.approx(0.3 - 0.01)
    assert ties(behind, "0.1.4") == pytest.approx(0.3)
    level = question(0, [2.0, 2.0], 2.0, 1.0)  # 0/0
    assert ties(level, "present") == ties(level, "0.1.4") == pytest.approx(0.3)
    # With a spread elsewhere, only that one is in the last mean of the package.
    more = ahead + question(1, [3.0, 2.0], 0.0, 9.0)
    assert ties(more, "present") == pytest.approx(1 + 0.01 * (1 + math.tanh(1)) / 2)
    assert ties(more, "0.1.4") == pytest.approx(1 + 0.01 * math.tanh(1))


def test_a_tied_prompt_with_one_right_answer() -> None:
    single = question(0, [2.0], 0.0, 1.0)
    several = question(1, [3.0, 2.0], 3.0, -1.0)  # nothing accurate but the first question
    both = single + several
    assert ties(both, "present") == pytest.approx(0.8 / 2 + 0.1 + 0.01 * (1 + math.tanh(-2)) / 2)
    assert ties(both, "0.1.4") == pytest.approx(0.6 / 2 + 0.01 * math.tanh(-2))
    assert np.isnan(ties(single, "0.1.4"))


def test_a_question_without_both_prompts_counts_in_the_accuracy_alone() -> None:
    rows = question(0, [3.0, 2.0], 0.0, 9.0) + question(1, [3.0, 2.0], 9.0, 9.0)[:1]
    assert ties(rows, "present") == pytest.approx(0.3 / 2 + 0.7 + 0.01 * math.tanh(1))


def test_ties_without_any_whole_question_is_refused() -> None:
    benchmark = rewardbench2()
    items = make_table(benchmark, question(0, [3.0, 2.0], 0.0, 9.0)[:1])
    table = score_table(items, benchmark, Evaluation(bootstrap_samples=100)).set_index("number")
    assert np.isnan(table.loc["Ties", "value"])
    assert table.loc["Ties", "note"].startswith("refused: no question of Ties has the prompts")


def test_an_id_that_does_not_say_its_question_is_refused() -> None:
    rows = [("Ties/7", "Ties", 2, [2.0, 1.0, 0.0])]
    with pytest.raises(UserError, match="'Ties/7' of the subset Ties does not end with 'tied:"):
        ties(rows, "present")


def test_a_prompt_of_ties_under_two_ids_is_refused() -> None:
    rows = question(7, [3.0, 2.0], 0.0, 9.0)
    rows.append(("other/ref:7", *rows[1][1:]))
    with pytest.raises(UserError, match="'ref:7' of the subset Ties is there twice"):
        ties(rows, "present")


def test_the_items_that_these_tests_make_are_whole() -> None:
    assert list(make_table(rewardbench2(), question(0, [1.0], 0.0, 1.0)).columns) == ITEMS.names


def restated(rows: list[Row]) -> dict[str, float]:
    """The present rule in the specification's words, without any of our functions."""
    found: dict[str, list[float]] = {}
    prompts: dict[str, dict[int, tuple[list[float], list[float]]]] = {"tied": {}, "ref": {}}
    for item, subset, n_correct, rewards in rows:
        if subset == "Ties":
            kind, k = item.removeprefix("Ties/").split(":")
            prompts[kind][int(k)] = (rewards[:n_correct], rewards[n_correct:])
        else:  # 1/m if the first attains the maximum, m = number of completions at the maximum
            at_maximum = [reward for reward in rewards if reward == max(rewards)]
            hit = 1 / len(at_maximum) if rewards[0] == max(rewards) else 0.0
            found.setdefault(subset, []).append(hit)
    score = {subset: sum(hits) / len(hits) for subset, hits in found.items()}
    score["Ties"] = restated_ties(prompts["tied"], prompts["ref"])
    return score | {"Score": sum(score.values()) / 6}


def restated_ties(tied: dict, ref: dict) -> float:
    """Worst correct against best wrong, and that gap against the spread among the correct."""

    def gap(prompt: tuple[list[float], list[float]]) -> float:
        return min(prompt[0]) - max(prompt[1])

    def mean(values: list) -> float:
        return sum(values) / len(values)

    def against_spread(gap: float, spread: float) -> float:
        if spread > 0:
            return math.tanh(gap / spread - 1)
        return (gap > 0) - (gap < 0)  # of an infinity; NaN, which is 0/0, counts 0

    both = []  # S, G of tied, the lower of the two gaps
    for k in tied.keys() & ref.keys():
        spread = max(tied[k][0]) - min(tied[k][0])
        both.append((spread, gap(tied[k]), min(gap(tied[k]), gap(ref[k]))))
    return (
        0.30 * mean([gap(prompt) > 0 for prompt in tied.values()])
        + 0.30 * mean([gap(prompt) > 0 for prompt in ref.values()])
        + 0.20 * mean([above > spread for spread, above, _ in both])
        + 0.20 * mean([lower > spread for spread, _, lower in both])
        + 0.01 * mean([against_spread(lower, spread) for spread, _, lower in both])
    )


@pytest.mark.parametrize("fewest_correct", [1, 2])
def test_random_results_score_as_the_specification_says(fewest_correct: int) -> None:
    """With ties at the top, spreads of 0, and questions that lack one of their prompts."""
    benchmark, rng = rewardbench2("present"), np.random.default_rng(fewest_correct)
    for _ in range(150):
        rows = random_rows(benchmark, rng, most_rows=6)
        rows += random_ties(rng, int(rng.integers(1, 13)), fewest_correct)
        found = values(benchmark, make_table(benchmark, rows))
        assert found == pytest.approx(restated(rows), rel=0, abs=1e-12)
