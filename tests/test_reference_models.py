"""Reward models of others as rows of the evaluation and of the main table."""

import re
from pathlib import Path

import pytest

from steps.config import load_experiment
from steps.errors import UserError
from steps.evaluate.evaluate import evaluate
from steps.evaluate.load import input_files, read_evaluation_sets, reference_path
from steps.evaluate.tables import write_tables
from steps.groups.schema import read_groups
from steps.report.conclusions import against_baselines
from steps.report.holm import CORRECTED
from steps.report.load import Evaluation
from steps.report.main_table import main_table
from steps.report.tables import write_report_tables
from tests.reference_models import write_rewards
from tests.synthetic_scores import write_experiment


@pytest.fixture
def experiment(tmp_path: Path):
    """A made-up experiment with a reference model that knows right from wrong, and its results."""
    yaml, results = write_experiment(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text("{}")
    entry = f"reference_models: {{other: {{source: local, path: {tmp_path / 'model'}}}}}"
    yaml.write_text(yaml.read_text() + entry)
    experiment = load_experiment(yaml)
    for name in experiment.evaluation_sets:
        groups = read_groups(results / f"groups/{name}.parquet")
        write_rewards(reference_path(results, "other", name), groups)
    return experiment, results


def test_a_reference_model_is_a_row_without_seeds(experiment) -> None:
    experiment, results = experiment
    sets = read_evaluation_sets(experiment, results)
    tables = evaluate(experiment, sets)
    metrics = tables["metrics.csv"].set_index(["method", "eval_set", "metric"]).sort_index()
    row = metrics.loc[("other", "out_of_distribution", "pair_accuracy")]
    assert (row["value"], row["seeds"]) == (1.0, 0)
    assert metrics.loc[("other", "all", "best_of_2"), "value"] < 1  # both drawn may be wrong
    titles = [
        title
        for title, _, _ in main_table(
            Evaluation(*tables.values()), experiment.methods, experiment.reference_models
        ).rows
    ]
    assert titles[3:5] == ["other", "Generator log-probability"]
    assert reference_path(results, "other", "in_distribution") in input_files(experiment, results)


def test_a_reference_model_is_compared_with_every_trained_method(experiment, tmp_path) -> None:
    experiment, results = experiment
    sets = read_evaluation_sets(experiment, results)
    tables = evaluate(experiment, sets)
    differences = tables["differences.csv"]
    rows = differences[differences["reference"] == "other"]
    rows = rows.set_index(["method", "eval_set", "metric"]).sort_index()
    row = rows.loc[("icrm", "out_of_distribution", "pair_accuracy")]
    # It wins every pair.
    metrics = tables["metrics.csv"].set_index(["method", "eval_set", "metric"])["value"]
    own = metrics["icrm", "out_of_distribution", "pair_accuracy"]
    assert row["value"] == pytest.approx(own - 1) and row["ci_high"] <= 0
    assert row["n"] > 0 and row["seeds"] == len(experiment.seeds) and 0 < row["p_value"] <= 1
    assert "other" not in set(differences["method"])

    write_tables(results / "evaluation", tables, experiment, sets[0].models)
    write_report_tables(experiment, results, tmp_path / "tables")
    texts = {
        name: (tmp_path / "tables" / name).read_text() for name in ("main.md", "differences.md")
    }
    section = texts["main.md"].partition("Against the reference models:\n")[2]
    assert "After Holm's correction for these " in section
    assert re.search(
        r"- ICRM, pair accuracy, in distribution \(0\.\d+\), against other \(", section
    )
    (line,) = re.findall(
        r"^\| ICRM - other +\| out of distribution +\| pair accuracy +\|.*$",
        texts["differences.md"],
        re.M,
    )
    # p and corrected p are there.
    assert all(re.fullmatch(r"[\d.e-]+", cell.strip()) for cell in line.split("|")[7:9])


def test_rules_are_corrected_as_without_reference_models(experiment) -> None:
    experiment, results = experiment
    alone = experiment.model_copy(update={"reference_models": {}})
    corrected = []
    for each in (experiment, alone):
        tables = evaluate(each, read_evaluation_sets(each, results))
        corrected.append(against_baselines(Evaluation(*tables.values()))[CORRECTED])
    assert corrected[0].tolist() == corrected[1].tolist()


def test_cut_responses_are_refused(experiment) -> None:
    experiment, results = experiment
    groups = read_groups(results / "groups/in_distribution.parquet")
    write_rewards(reference_path(results, "other", "in_distribution"), groups, cut=2)
    with pytest.raises(UserError, match=r"2 responses were cut .*lower selection\.max_tokens"):
        read_evaluation_sets(experiment, results)


def test_a_prompt_that_the_model_could_not_score_is_refused(experiment) -> None:
    experiment, results = experiment
    groups = read_groups(results / "groups/in_distribution.parquet")
    left_out = {groups[1].group_id: "the response spells the control token '<s>'; remove it"}
    path = reference_path(results, "other", "in_distribution")
    write_rewards(path, groups, left_out=left_out)
    with pytest.raises(UserError, match=r"1 prompts could not .*remove it, or take the model out"):
        read_evaluation_sets(experiment, results)
