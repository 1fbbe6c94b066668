"""What the policies answered, as one table with a row per response."""

import sys
from pathlib import Path

import pandas as pd

from steps.config import Experiment
from steps.errors import UserError
from steps.groups.schema import read_groups
from steps.policy.judged import read_judged
from steps.policy.names import REFERENCE, policy_name

EXACT = "exact"  # the judge that compares the final answer with the reference answer
KEYS = ["policy", "group_id", "response"]


def read_answers(paths: list[Path], experiment: Experiment) -> pd.DataFrame:
    """Read the samples of all policies to the prompts that all of them answered.

    Returns:
        Columns policy, group_id, response, n_tokens, finished (1 or 0) and correct (1, 0 or NaN).

    Raises:
        UserError: a policy of the experiment has no samples, a file is of none, or no prompt was
            answered by all.
    """
    rows = [
        {
            "policy": response.model,
            "group_id": group.group_id,
            "response": place,
            "n_tokens": response.n_tokens,
            "finished": float(response.finish_reason == "stop"),
            "correct": None if response.correct is None else float(response.correct),
        }
        for path in paths
        for group in read_groups(path)
        for place, response in enumerate(group.responses)
    ]
    answers = pd.DataFrame(rows).astype({"correct": float})
    expected = {REFERENCE, *(policy_name(*run) for run in experiment.policy_runs)}
    found = set(answers["policy"])
    for name in sorted(found ^ expected):
        kind = "has no samples" if name in expected else "is not of the experiment"
        raise UserError(f"--samples: the policy '{name}' {kind}; give the files of its policies")
    prompts = answers.groupby("policy")["group_id"].agg(frozenset)
    common = frozenset.intersection(*prompts)
    if not common:
        raise UserError("--samples: no prompt was answered by all policies; sample longer answers")
    left_out = len(frozenset.union(*prompts)) - len(common)
    if left_out:
        print(f"{left_out:,} prompts left out that a policy gave no text to", file=sys.stderr)
    return answers[answers["group_id"].isin(common)]


def with_scores(answers: pd.DataFrame, judged: dict[str, Path]) -> dict[str, pd.DataFrame]:
    """Return, for each judge, the answers with its ``score``; exact correctness is one of them.

    Args:
        judged: the file of each judge.

    Raises:
        UserError: a judge has not judged every answer.
    """
    found = {}
    for judge, path in judged.items():
        merged = answers.merge(read_judged(path), on=KEYS, how="left", validate="one_to_one")
        if merged["score"].isna().any():
            name = merged.loc[merged["score"].isna(), "policy"].iloc[0]
            raise UserError(f"{path} lacks rewards of the policy '{name}'; judge the samples again")
        found[judge] = merged
    known = answers.dropna(subset="correct")
    if len(known):
        found[EXACT] = known.assign(score=known["correct"])
    return found
