"""A benchmark's numbers for all methods: means over runs, both intervals, differences, refusals."""

import numpy as np
import pytest

from steps.benchmarks.compare import TABLES, compare
from steps.benchmarks.registry import BENCHMARKS
from steps.benchmarks.scores import score_table
from steps.config import Experiment
from steps.config.schema import LocalBackbone
from tests.benchmark_items import leave_out, make_table, random_rows

REWARDBENCH = BENCHMARKS["rewardbench"]


def items(wins: str, truncated: int = 0):
    """One item of hep-go per letter: w for a pair that is won, l for one that is lost, t a tie."""
    rewards = {"w": [1.0, 0.0], "l": [0.0, 1.0], "t": [1.0, 1.0]}
    rows = [(f"hep-go/{k}", "hep-go", 1, rewards[w]) for k, w in enumerate(wins)]
    table = make_table(REWARDBENCH, rows)
    table.loc[: truncated - 1, "truncated"] = True
    return table


@pytest.fixture(scope="module")
def tables(experiment: Experiment):
    runs = {
        ("orm", 0): items("wwwl"),
        ("orm", 1): items("wlll"),
        ("icrm", 0): items("wwww"),
        ("icrm", 1): items("wwtl"),
        ("other", None): items("llll", truncated=3),
        ("random", 0): items("wlll"),
        ("random", 1): items("lwww"),
    }
    model = LocalBackbone(source="local", path="models/other")
    chosen = {"methods": ["orm", "icrm"], "seeds": [0, 1], "reference_models": {"other": model}}
    return compare(runs, REWARDBENCH, experiment.model_copy(update=chosen))


def row(table, **keys):
    for key, value in keys.items():
        table = table[table[key] == value]
    (found,) = table.itertuples()
    return found


def test_the_value_is_the_mean_over_runs_with_both_intervals(tables) -> None:
    assert {name: list(table.columns) for name, table in tables.items()} == TABLES
    orm = row(tables["methods.csv"], method="orm", number="hep-go")
    assert (orm.value, orm.n, orm.seeds, orm.truncated) == (0.5, 4, 2, 0)
    # Runs 0.75 and 0.25: their standard error is 0.25, and t with one degree of freedom 12.706.
    assert orm.t_half_width == pytest.approx(0.25 * 12.706, abs=1e-3)
    # Per prompt the mean over runs is 1, 1/2, 1/2, 0.
    assert 0 <= orm.ci_low < 0.5 < orm.ci_high <= 1
    runs = tables["runs.csv"]
    assert row(runs, method="icrm", seed=1, number="hep-go").value == 0.5  # the tie is lost
    other = row(tables["methods.csv"], method="other", number="hep-go")
    assert (other.value, other.seeds, other.truncated) == (0, 1, 3)
    assert np.isnan(other.t_half_width)
    assert other.note == "marked: 'hep-go' has 4 items instead of 164; 3 truncated"


def test_differences_are_paired_over_prompts_and_seeds(tables) -> None:
    difference = row(tables["differences.csv"], method="icrm", reference="orm", number="hep-go")
    assert (difference.value, difference.n, difference.seeds) == (0.25, 4, 2)
    # Both seeds differ by 1/4, so the runs do not vary; per prompt it is 0, 1/2, 0, 1/2.
    assert difference.t_half_width == 0
    assert 0 <= difference.ci_low < 0.25 < difference.ci_high <= 0.5
    # Zero where only the first and the third prompt are drawn, 1 of 16 times; on both sides then.
    assert difference.p_value == pytest.approx(2 / 16, abs=0.06)


def test_every_trained_method_is_compared_with_rules_and_reference_models(tables) -> None:
    differences = tables["differences.csv"]
    compared = differences.loc[differences["number"] == "hep-go", ["method", "reference"]]
    assert [tuple(pair) for pair in compared.to_numpy()] == [
        *(("orm", "random"), ("orm", "other")),
        *(("icrm", "orm"), ("icrm", "random"), ("icrm", "other")),
    ]
    orm = row(differences, method="orm", reference="random", number="hep-go")
    # Both draw the mean 1/2 of two runs; the runs of a rule are no seeds of training.
    assert (orm.value, orm.n, orm.seeds) == (0, 4, 2)
    assert orm.t_half_width == pytest.approx(0.25 * 12.706, abs=1e-3)
    assert orm.ci_low < 0 < orm.ci_high and orm.p_value > 0.5
    icrm = row(differences, method="icrm", reference="other", number="hep-go")
    # All prompts in favour: the smallest p-value that this many resamples can give.
    assert (icrm.value, icrm.ci_low > 0) == (0.75, True)
    assert icrm.p_value == pytest.approx(2 / 501)


def test_a_number_without_all_its_subsets_is_refused(tables) -> None:
    methods = tables["methods.csv"]
    for number in ("Reasoning", "Score"):
        refused = row(methods, method="orm", number=number)
        assert np.isnan([refused.value, refused.ci_low, refused.t_half_width]).all()
        assert refused.note.startswith("refused: no item of ")
    assert "Score" not in set(tables["differences.csv"]["number"])


def test_a_refused_number_is_in_no_table(experiment: Experiment) -> None:
    # The means of RM-Bench's safety pool two subsets: they have values with only one of them.
    benchmark = BENCHMARKS["rmbench"]
    runs = {}
    for place, method in enumerate(("orm", "icrm")):
        rows = random_rows(benchmark, np.random.default_rng(place), most_rows=3)
        kept = [each for each in rows if each[1] != "safety-response"]
        runs[method, 0] = make_table(benchmark, kept)
    chosen = experiment.model_copy(update={"methods": ["orm", "icrm"], "seeds": [0]})
    tables = compare(runs, benchmark, chosen)
    assert row(tables["methods.csv"], method="orm", number="Score").note.startswith("refused: ")
    for table in tables.values():
        given = set(table.loc[table["value"].notna(), "number"])
        assert "math" in given
        assert not given & {"safety", "hard", "Score"}


def test_what_one_run_leaves_out_all_runs_of_its_method_do(experiment: Experiment) -> None:
    runs = {
        ("orm", 0): items("wwll"),
        ("orm", 1): leave_out(items("wlll"), 0, "no number; train again"),
        ("icrm", 0): items("wwww"),
    }
    chosen = experiment.model_copy(update={"methods": ["orm", "icrm"], "seeds": [0, 1]})
    tables = compare(runs, REWARDBENCH, chosen)
    orm = row(tables["methods.csv"], method="orm", number="hep-go")
    # Of the three items that are left: 1/3 and 0.
    assert (orm.value, orm.n, orm.left_out) == (pytest.approx(1 / 6), 3, 1)
    assert orm.note == (
        "marked: 'hep-go' has 4 items instead of 164; "
        "3 of 4 items of 'hep-go' count (1 left out, the first: 'hep-go/0', no number)"
    )
    icrm = row(tables["methods.csv"], method="icrm", number="hep-go")
    assert (icrm.value, icrm.n, icrm.left_out) == (1, 4, 0)
    # A difference over other items would not be paired.
    assert "hep-go" not in set(tables["differences.csv"]["number"])


def test_a_method_without_an_item_is_refused_and_the_others_are_not(experiment) -> None:
    nothing = leave_out(leave_out(items("ww"), 0, "no number"), 1, "no number")
    chosen = experiment.model_copy(update={"methods": ["orm", "icrm"], "seeds": [0]})
    runs = {("orm", 0): nothing, ("icrm", 0): items("wl")}
    methods = compare(runs, REWARDBENCH, chosen)["methods.csv"]
    orm = row(methods, method="orm", number="hep-go")
    assert np.isnan(orm.value) and (orm.n, orm.left_out) == (0, 2)
    assert orm.note == (
        "refused: no item of 'hep-go' (2 left out, the first: 'hep-go/0', no number)"
    )
    assert row(methods, method="icrm", number="hep-go").value == 0.5


@pytest.mark.parametrize("name", BENCHMARKS)
def test_one_run_alone_has_the_scores_of_the_score_command(name, experiment: Experiment) -> None:
    benchmark = BENCHMARKS[name]
    rows = random_rows(benchmark, np.random.default_rng(3), most_rows=5)
    table = make_table(benchmark, rows)
    alone = score_table(table, benchmark, experiment.evaluation)
    runs = {("orm", 0): table, ("orm", 1): table}
    chosen = experiment.model_copy(update={"methods": ["orm"], "seeds": [0, 1]})
    methods = compare(runs, benchmark, chosen)["methods.csv"]
    for column in ("value", "ci_low", "ci_high"):
        # Two equal runs: their mean, and the same draws of prompts.
        np.testing.assert_allclose(methods[column], alone[column], rtol=0, atol=1e-11)
    assert methods["note"].tolist() == alone["note"].tolist()
    assert (methods["t_half_width"].dropna() == 0).all()
