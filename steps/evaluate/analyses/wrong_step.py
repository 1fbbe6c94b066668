"""First wrong step, by step ends: is the reward lower after the wrong step than after those before?

Only the first wrong step of a response is annotated. The steps before it are its lines that are not
empty and end before the annotated span begins. The AUC of a response is the share of these lines at
whose last token the reward is higher than at the last token of the wrong step, a tie counting one
half; the measure is its mean over responses. Chance is 1/2, but a reward that falls (rises) along
every response, right or wrong, is above (below) it as well. Responses whose first line is the wrong
one, and those whose author saw hints, are left out.
"""

import numpy as np

from steps.evaluate.analyses.measure import Key, Measures, mean
from steps.evaluate.load import EvaluationSet

AUC = Key("first_wrong_step_auc")


def line_ends(text: str, before: int) -> list[int]:
    """Return where (exclusive) the lines that are not empty end, as far as ``before``."""
    ends, position = [], 0
    for line in text.splitlines(keepends=True):
        written = line.rstrip()
        if written and position + len(written) <= before:
            ends.append(position + len(written))
        position += len(line)
    return ends


def token_of_end(token_ends: np.ndarray, end: int) -> int:
    """Return the token that holds the last character before ``end``.

    Args:
        token_ends: [T], characters of the response that end with each token.
    """
    return int(np.searchsorted(token_ends, end))


def wrong_step_auc(eval_set: EvaluationSet, method: str, seed: int) -> Measures:
    """Return the AUC of one run; nothing where no response has a step before its wrong one."""
    scores = eval_set.scores[method, seed]
    problems, areas = [], []
    for number, response in enumerate(eval_set.responses):
        if not response.annotated or response.error_start is None or response.hinted:
            continue
        rewards, ends = scores["token_rewards"][number], scores["token_ends"][number]
        before = line_ends(response.text, response.error_start)
        if not before:
            continue
        wrong = rewards[token_of_end(ends, response.error_end)]
        gaps = rewards[[token_of_end(ends, end) for end in before]] - wrong
        problems.append(eval_set.problems[number])
        areas.append(((np.sign(gaps) + 1) / 2).mean())
    return {AUC: mean(np.array(problems, dtype=object), np.array(areas))} if areas else {}
