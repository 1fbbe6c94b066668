"""Reward models of others as rows of the evaluation and of the main table."""

from pathlib import Path

import pytest

from steps.config import load_experiment
from steps.errors import UserError
from steps.evaluate.evaluate import evaluate
from steps.evaluate.load import input_files, read_evaluation_sets, reference_path
from steps.groups.schema import read_groups
from steps.report.load import Evaluation
from steps.report.main_table import main_table
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
