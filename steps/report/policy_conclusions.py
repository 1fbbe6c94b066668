"""Plain sentences on what comparisons of policies, and of best-of-N picks, show."""

import pandas as pd

from steps.config import Experiment
from steps.config.dpo import EXACT
from steps.evaluate.baselines import REFERENCES
from steps.policy.compare import TESTED
from steps.policy.names import REFERENCE
from steps.report.conclusions import summary
from steps.report.holm import CORRECTED, correct
from steps.report.markdown import bullets

HEADING = "## What can and cannot be concluded\n"
CLOSING = (
    "What does not stand is a hint, not a proof; what cannot be told apart need not be equal: the "
    "interval says how large a difference may be. All of this is about other prompts, not about "
    "other training runs.\n"
)


def policy_conclusions(comparisons: dict[str, pd.DataFrame], experiment: Experiment) -> list[str]:
    """Return the parts of a Markdown section: for each kind of sampling what stands.

    Args:
        comparisons: rows of comparisons.csv by how the answers were sampled, in words.
    """
    parts = [HEADING]
    for sampling, table in comparisons.items():
        tested = table.dropna(subset="p_holm")
        family = tested.assign(
            method=tested["policy"],
            reference=tested["opponent"].replace(REFERENCE, "the starting policy"),
            value=tested["value"] - tested["metric"].map(TESTED),
            number=tested["metric"].str.replace("_", " ") + ", judge " + tested["judge"],
            **{CORRECTED: tested["p_holm"]},
        )
        parts += [f"{sampling}:\n", bullets(summary(family, experiment.evaluation))]
    return [*parts, CLOSING]


def pick_conclusions(comparisons: pd.DataFrame, experiment: Experiment) -> list[str]:
    """Return the parts of a Markdown section: at the largest N, which picks score higher.

    Args:
        comparisons: rows of comparisons.csv.
    """
    largest = comparisons["drawn"].max()
    scores = comparisons[comparisons["metric"] == "score_difference"].dropna(subset="p_value")
    scores = scores[scores["drawn"] == largest]
    judges = scores["judge"].map(lambda j: "accuracy of the pick" if j == EXACT else f"judge {j}")
    scores = scores.assign(number=judges)
    lists = {
        "Between the trained methods": experiment.methods,
        "Against rules that need no training": REFERENCES,
    }
    parts = [HEADING]
    for heading, references in lists.items():
        family = correct(scores[scores["reference"].isin(references)])
        if len(family):
            sentences = summary(family, experiment.evaluation)
            parts += [f"{heading}, scores of the picks at N = {largest}:\n", bullets(sentences)]
    return [*parts, CLOSING]
