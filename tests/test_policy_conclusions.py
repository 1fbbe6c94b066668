"""What stands of comparisons of policies and of picks, in words."""

import pandas as pd
import pytest

from steps.config import Experiment
from steps.config.schema import Evaluation
from steps.report.policy_conclusions import pick_conclusions, policy_conclusions


@pytest.fixture
def whole(experiment: Experiment) -> Experiment:
    """With resamples enough for a p-value to pass the correction."""
    changes = {"methods": ["orm", "icrm"], "evaluation": Evaluation()}
    return experiment.model_copy(update=changes)


def policies(p_values: list[float]) -> pd.DataFrame:
    rows = [
        ("orm", "reference", "own", "win_rate", 0.7),
        ("orm", "reference", "own", "score_difference", 0.2),
        ("icrm", "orm", "exact", "win_rate", 0.4),
        ("icrm", "orm", "exact", "win", 0.4),  # is not tested
    ]
    table = pd.DataFrame(rows, columns=["policy", "opponent", "judge", "metric", "value"])
    return table.assign(p_holm=[*p_values, float("nan")])


def test_what_stands_between_policies_is_said_for_each_kind_of_sampling(whole) -> None:
    found = {"Greedy": policies([0.01, 0.2, 0.05]), "Drawn": policies([1.0, 1.0, 0.06])}
    text = "\n".join(policy_conclusions(found, whole))
    greedy, drawn = text.split("Drawn:\n")
    assert (
        "Greedy:\n\n- After Holm's correction for these 3 comparisons at a level of 0.05, this can "
        "be concluded (2 of 3): win rate, judge own: ORM higher than the starting policy; "
        "win rate, judge exact: ICRM lower than ORM.\n"
    ) in greedy
    assert "3 comparisons at a level of 0.05, nothing can be concluded" in drawn


def test_conclusions_on_picks_are_of_the_largest_n_and_corrected_by_question(whole) -> None:
    rows = [
        ("own", "icrm", "orm", 8, "score_difference", -0.1, 0.04),
        ("own", "orm", "random", 2, "score_difference", 0.3, 0.001),  # of a smaller N
        ("own", "orm", "random", 8, "win_rate", 0.9, float("nan")),
        ("own", "orm", "random", 8, "score_difference", 0.4, 0.001),
        ("exact", "orm", "random", 8, "score_difference", 0.1, 0.03),
        ("exact", "orm", "longest", 8, "score_difference", 0.1, 0.04),
    ]
    columns = ["judge", "method", "reference", "drawn", "metric", "value", "p_value"]
    text = "\n".join(pick_conclusions(pd.DataFrame(rows, columns=columns), whole))
    between, against = text.split("Against rules that need no training, scores of the picks at N")
    assert "for this one comparison" in between
    assert "(1 of 1): judge own: ICRM lower than ORM." in between
    assert "(1 of 3): judge own: ORM higher than random." in against
