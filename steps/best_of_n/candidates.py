"""What best-of-N is measured on: groups with every model's rewards and every judge's scores."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from steps.config import Experiment
from steps.config.dpo import EXACT
from steps.errors import UserError
from steps.evaluate.load import align_scores
from steps.groups.schema import PromptGroup, read_groups
from steps.policy.judged import read_judged
from steps.preferences.rewards import read_rewards
from steps.score.schema import read_origin

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
        judges: files of `python -m steps.policy judge`; a judge is called as its file.
    Raises:
        UserError: a file is missing or damaged or does not fit the groups, there is no judge, or a
            model gives all responses of every prompt the same reward.
    """
    groups = read_groups(groups_path)
    drawn, whole = _drawable(experiment, groups, groups_path)

    def kept(values: list) -> list:
        return [value for value, keep in zip(values, whole, strict=True) if keep]

    paths = _runs(experiment, rewards)
    runs = {run: kept(read_rewards(path, groups)) for run, path in paths.items()}
    own = {run: [each.rewards for each in found] for run, found in runs.items()}
    judged = {path.stem: kept(_judged(path, groups)) for path in judges}
    for (method, seed), path in paths.items():
        _refuse_constant(own[method, seed], f"'{method}' with seed {seed}", path)
    for path in judges:
        _refuse_constant(judged[path.stem], f"the judge '{path.stem}'", path)
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
        own,
        judged,
        [each.n_tokens for each in next(iter(runs.values()))],
    )


def _drawable(
    experiment: Experiment, groups: list[PromptGroup], path: Path
) -> tuple[list[int], list[bool]]:
    """Return the Ns that a group has responses for, ascending, and which groups have the largest's.

    What that leaves out is told on the terminal.
    """
    largest = max(len(group.responses) for group in groups)
    wanted = sorted(set(experiment.evaluation.best_of))
    drawn = [n for n in wanted if n <= largest]
    if not drawn:
        raise UserError(
            f"{path}: no group has the {wanted[0]} responses of the smallest "
            "evaluation.best_of; sample more"
        )
    if drawn != wanted:
        print(
            f"{path}: N = {', '.join(map(str, wanted[len(drawn) :]))} of evaluation.best_of "
            f"cannot be drawn, since no prompt has more than {largest} responses; sample more",
            file=sys.stderr,
        )
    whole = [len(group.responses) >= drawn[-1] for group in groups]
    if not all(whole):
        print(
            f"{path}: {len(groups) - sum(whole):,} of {len(groups):,} prompts have fewer than "
            f"{drawn[-1]} responses and are left out at every N; sample a few more than the "
            "largest evaluation.best_of",
            file=sys.stderr,
        )
    return drawn, whole


def _refuse_constant(scores: PerGroup, name: str, path: Path) -> None:
    if not any(map(np.ptp, scores)):
        raise UserError(
            f"{path}: {name} gives all responses of a prompt the same reward, for every prompt; "
            "nothing can be picked by it, look at the training of that model"
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


def _judged(path: Path, groups: list[PromptGroup]) -> PerGroup:
    """Return a judge's scores of each group's responses."""
    judged = read_judged(path)
    author = groups[0].responses[0].model
    aligned = align_scores(judged[judged["policy"] == author], groups, path)
    ends = np.cumsum([len(group.responses) for group in groups])[:-1]
    return np.split(aligned["score"].to_numpy(), ends)


def _exact(groups: list[PromptGroup]) -> dict[str, PerGroup]:
    """The correctness of all responses as one more judge, where it is known."""
    correct = [[response.correct for response in group.responses] for group in groups]
    if any(each is None for own in correct for each in own):
        return {}
    return {EXACT: [np.array(own, dtype=np.float64) for own in correct]}
