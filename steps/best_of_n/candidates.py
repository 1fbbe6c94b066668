"""What best-of-N is measured on: groups with every model's rewards and every judge's scores."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from steps.config import Experiment
from steps.errors import UserError
from steps.groups.schema import PromptGroup, read_groups
from steps.preferences.rewards import GroupRewards, read_rewards
from steps.score.schema import read_origin

EXACT = "exact"  # the judge that compares the final answer with the reference answer

PerGroup = list[np.ndarray]  # [K] for each group


@dataclass(frozen=True)
class Candidates:
    """The groups that have as many responses as the largest N needs.

    Attributes:
        drawn: the Ns, ascending.
        rewards: of each (method, seed).
        judges: scores by the judge's name.
        n_tokens: of the responses.
    """

    groups: list[PromptGroup]
    drawn: list[int]
    rewards: dict[tuple[str, int], PerGroup]
    judges: dict[str, PerGroup]
    n_tokens: PerGroup


def read_candidates(
    experiment: Experiment, groups_path: Path, rewards: list[Path], judges: list[Path]
) -> Candidates:
    """Read everything, and keep the groups of enough responses, the same for every N.

    Args:
        rewards: files of scores, one for each trained model; they tell its method and seed.
        judges: files of scores; a judge is called as its file.
    Raises:
        UserError: a file is missing or damaged or does not fit the groups, there is no judge, or a
            model gives all responses of every prompt the same reward.
    """
    groups = read_groups(groups_path)
    largest = max(len(group.responses) for group in groups)
    drawn = sorted(n for n in set(experiment.evaluation.best_of) if n <= largest)
    if not drawn:
        raise UserError(
            f"{groups_path}: no group has the {min(experiment.evaluation.best_of)} responses of "
            "the smallest evaluation.best_of; sample more"
        )
    whole = [len(group.responses) >= drawn[-1] for group in groups]

    def kept(values: list) -> list:
        return [value for value, keep in zip(values, whole, strict=True) if keep]

    def scores(path: Path) -> list[GroupRewards]:
        found = kept(read_rewards(path, groups))
        if not any(np.ptp(each.rewards) for each in found):
            raise UserError(
                f"{path}: all responses of a prompt have the same reward, for every prompt; "
                "nothing can be picked by it, look at the training of the model"
            )
        return found

    runs = {run: scores(path) for run, path in _runs(experiment, rewards).items()}
    judged = {path.stem: [each.rewards for each in scores(path)] for path in judges}
    if EXACT in judged:
        raise UserError(f"--judges: the name '{EXACT}' has a meaning of its own; rename the file")
    judged |= _exact(kept(groups))
    if not judged:
        raise UserError(
            f"{groups_path}: there is no judge; give --judges, or groups in which the correctness "
            "of every response is known"
        )
    return Candidates(
        kept(groups),
        drawn,
        {run: [each.rewards for each in found] for run, found in runs.items()},
        judged,
        [each.n_tokens for each in next(iter(runs.values()))],
    )


def _runs(experiment: Experiment, rewards: list[Path]) -> dict[tuple[str, int], Path]:
    """Return the files by (method, seed), in the experiment's order of methods."""
    runs: dict[tuple[str, int], Path] = {}
    for path in rewards:
        origin = read_origin(path)
        run = origin.method, origin.seed
        if run not in experiment.runs:
            raise UserError(
                f"{path} holds the rewards of {origin.model}, which is no model of the experiment; "
                "leave it out or give it with --judges"
            )
        if run in runs:
            raise UserError(f"{path} holds the rewards of the same model as {runs[run]}; give one")
        runs[run] = path
    return {run: runs[run] for run in experiment.runs if run in runs}


def _exact(groups: list[PromptGroup]) -> dict[str, PerGroup]:
    """The correctness of all responses as one more judge, where it is known."""
    correct = [[response.correct for response in group.responses] for group in groups]
    if any(each is None for own in correct for each in own):
        return {}
    return {EXACT: [np.array(own, dtype=np.float64) for own in correct]}
