"""RewardBench: the rule, on results with known scores."""

import numpy as np
import pytest

from steps.benchmarks.registry import BENCHMARKS
from steps.benchmarks.scores import score_table
from steps.config.schema import Evaluation
from tests.benchmark_items import Row, make_table, values

BENCHMARK = BENCHMARKS["rewardbench"]
QUICK = Evaluation(bootstrap_samples=100)
# Rows of the split `filtered`: the data set's card (allenai/reward-bench) and arXiv 2403.13787. The
# counts of the two xstest subsets are found swapped elsewhere.
PUBLISHED = {
    "alpacaeval-easy": 100,
    "alpacaeval-length": 95,
    "alpacaeval-hard": 95,
    "mt-bench-easy": 28,
    "mt-bench-med": 40,
    "mt-bench-hard": 37,
    "llmbar-natural": 100,
    "llmbar-adver-neighbor": 134,
    "llmbar-adver-GPTInst": 92,
    "llmbar-adver-GPTOut": 47,
    "llmbar-adver-manual": 46,
    "refusals-dangerous": 100,
    "refusals-offensive": 100,
    "xstest-should-refuse": 154,
    "xstest-should-respond": 250,
    "donotanswer": 136,
    "math-prm": 447,
    "hep-cpp": 164,
    "hep-go": 164,
    "hep-java": 164,
    "hep-js": 164,
    "hep-python": 164,
    "hep-rust": 164,
}


def whole(won: dict[str, int], prior: bool = False) -> list[Row]:
    """Return all published items; the first ``won`` of a subset are won, the others lost."""
    return [
        (f"{name}/{k}", name, 1, [1.0, 0.0] if k < won.get(name, 0) else [0.0, 1.0])
        for name, subset in BENCHMARK.subsets.items()
        if subset.core or prior
        for k in range(min(subset.rows, 300 if not subset.core else subset.rows))
    ]


def everything(section: str) -> dict[str, int]:
    return {n: s.rows for n, s in BENCHMARK.subsets.items() if s.section == section}


def test_the_published_counts() -> None:
    core = {name: s for name, s in BENCHMARK.subsets.items() if s.core}
    assert {name: subset.rows for name, subset in core.items()} == PUBLISHED
    sections: dict[str, int] = {}
    for subset in core.values():
        sections[subset.section] = sections.get(subset.section, 0) + subset.rows
    assert sections == {"Chat": 358, "Chat Hard": 456, "Safety": 740, "Reasoning": 1431}
    assert len(core) == 23 and sum(sections.values()) == 2985


def test_a_section_is_weighted_by_its_counts() -> None:
    won = {"xstest-should-refuse": 154, "alpacaeval-easy": 50, "mt-bench-med": 40}
    found = values(BENCHMARK, make_table(BENCHMARK, whole(won)))
    assert found["xstest-should-refuse"] == 1 and found["alpacaeval-easy"] == 0.5
    assert found["Safety"] == pytest.approx(154 / 740)
    assert found["Chat"] == pytest.approx((50 + 40) / 358)
    assert found["Score"] == pytest.approx((154 / 740 + 90 / 358) / 4)


def test_mathematics_weighs_as_much_as_all_code() -> None:
    found = values(BENCHMARK, make_table(BENCHMARK, whole({"math-prm": 447})))
    assert found["Reasoning"] == 0.5  # 984 of 984 + 6 x 164
    found = values(BENCHMARK, make_table(BENCHMARK, whole({"hep-go": 164})))
    assert found["Reasoning"] == pytest.approx(1 / 12)


def test_a_tie_is_no_win() -> None:
    rows = [(item, s, n, [0.5, 0.5]) for item, s, n, _ in whole({})]
    assert set(values(BENCHMARK, make_table(BENCHMARK, rows)).values()) == {0.0}


def test_the_old_overall_counts_the_prior_sets_half() -> None:
    won = everything("Chat") | everything("Safety") | {"shp": 300}
    found = values(BENCHMARK, make_table(BENCHMARK, whole(won, prior=True)))
    assert found["Prior Sets"] == 0.25  # each of the four weighs the same
    assert found["Score"] == 0.5
    assert found["Score with Prior Sets"] == pytest.approx((2 * 1 + 2 * 1 + 1 * 0.25) / 9)
    without = values(BENCHMARK, make_table(BENCHMARK, whole(won)))
    assert "Score with Prior Sets" not in without and without["Score"] == 0.5


def test_what_lacks_a_subset_is_refused_and_the_rest_is_given() -> None:
    rows = [row for row in whole(everything("Chat"), prior=True) if row[1] not in ("hep-js", "shp")]
    table = score_table(make_table(BENCHMARK, rows), BENCHMARK, QUICK).set_index("number")
    for name in ("hep-js", "Reasoning", "Score", "Score with Prior Sets"):
        assert np.isnan(table.loc[name, ["value", "ci_low", "ci_high"]].astype(float)).all()
        assert table.loc[name, "note"].startswith("refused: no item of 'hep-js'")
    assert table.loc["Prior Sets", "note"] == "refused: no item of 'shp'"
    assert table.loc["Chat", "value"] == 1 and table.loc["Chat", "note"] == ""


def test_other_counts_and_truncated_items_are_marked() -> None:
    items = make_table(BENCHMARK, whole(everything("Chat"))[1:])
    items.loc[[0, 1, 2], "truncated"] = True
    table = score_table(items, BENCHMARK, QUICK).set_index("number")
    mark = "marked: 'alpacaeval-easy' has 99 items instead of 100; 3 truncated"
    for name, n in (("alpacaeval-easy", 99), ("Chat", 357), ("Score", 2984)):
        assert table.loc[name, ["n", "truncated", "note"]].tolist() == [n, 3, mark]
    assert table.loc["Chat", "value"] == 1
    assert table.loc["Safety", ["truncated", "note"]].tolist() == [0, ""]
