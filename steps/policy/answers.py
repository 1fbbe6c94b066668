"""What the policies answered, as one table with a row for every sample that was asked for."""

import sys
from pathlib import Path

import pandas as pd

from steps.config import Experiment
from steps.config.dpo import EXACT
from steps.errors import UserError
from steps.groups.schema import PromptGroup, read_groups
from steps.policy.judged import read_judged
from steps.policy.names import REFERENCE, policy_name

ASKED = ["policy", "group_id", "sample"]
KEYS = ["policy", "group_id", "response"]


def read_answers(
    paths: list[Path], prompts: list[PromptGroup], samples: int, experiment: Experiment
) -> pd.DataFrame:
    """Read the answers of all policies; a sample that the files lack is an empty answer.

    Args:
        prompts: what the policies were asked.
        samples: of each prompt.

    Returns:
        Columns `ASKED`, response (its place in its group), n_tokens, finished (1 or 0), correct
        (1, 0 or NaN) and empty (1 or 0). An empty answer is wrong where the prompt has a reference
        answer, and has nothing else.

    Raises:
        UserError: a policy of the experiment has no samples, or a file has samples of another
            policy or of other prompts.
    """
    rows = [
        {
            "policy": response.model,
            "group_id": group.group_id,
            "sample": response.sample,
            "response": place,
            "n_tokens": response.n_tokens,
            "finished": float(response.finish_reason == "stop"),
            "correct": None if response.correct is None else float(response.correct),
        }
        for path in paths
        for group in read_groups(path)
        for place, response in enumerate(group.responses)
    ]
    given = pd.DataFrame(rows).astype({"correct": float}).set_index(ASKED)
    policies = [REFERENCE, *(policy_name(*run) for run in experiment.policy_runs)]
    for name in sorted(set(given.index.unique("policy")) ^ set(policies)):
        kind = "has no samples" if name in policies else "is not of the experiment"
        raise UserError(f"--samples: the policy '{name}' {kind}; give the files of its policies")
    ids = [group.group_id for group in prompts]
    asked = pd.MultiIndex.from_product([policies, ids, range(samples)], names=ASKED)
    for name, group_id, number in given.index.difference(asked):
        raise UserError(
            f"--samples: the policy '{name}' has a sample {number} of '{group_id}', which was not "
            "asked for; sample again, or give the groups that were answered"
        )
    answers = given.reindex(asked).reset_index()
    empty = answers["response"].isna()
    for name, count in answers.loc[empty, "policy"].value_counts(sort=False).items():
        print(f"{name}: {count:,} of {len(ids) * samples:,} answers are empty", file=sys.stderr)
    checked = answers["group_id"].isin([g.group_id for g in prompts if g.answer is not None])
    answers.loc[empty & checked, "correct"] = 0.0
    return answers.assign(empty=empty.astype(float))


def with_scores(answers: pd.DataFrame, judged: dict[str, Path]) -> dict[str, pd.DataFrame]:
    """Return, for each judge, the answers with its ``score``; exact correctness is one of them.

    A judge of texts gives an empty answer none (NaN); exact correctness gives it 0.

    Args:
        judged: the file of each judge.

    Raises:
        UserError: a judge has not judged every answer.
    """
    found = {}
    answered = answers[answers["empty"] == 0]
    keys = pd.MultiIndex.from_frame(answered[KEYS].astype({"response": int}))
    for judge, path in judged.items():
        scores = read_judged(path).set_index(KEYS)["score"].reindex(keys).to_numpy()
        missing = keys[pd.isna(scores)]
        if len(missing):
            raise UserError(
                f"{path} lacks rewards of the policy '{missing[0][0]}'; judge the samples again"
            )
        found[judge] = answers.assign(score=pd.Series(scores, answered.index))
    known = answers.dropna(subset="correct")
    if len(known):
        found[EXACT] = known.assign(score=known["correct"])
    return found
