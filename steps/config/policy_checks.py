"""What the policy part of an experiment file must fit to: sets, seeds and methods."""

from pathlib import Path

from steps.config.dpo import TrainedJudge
from steps.config.schema import ANNOTATED_SET, Experiment
from steps.errors import UserError, nearest
from steps.objectives.registry import ensemble_base, method_names


def check_policy(path: Path, experiment: Experiment) -> None:
    """Check names, and that no judge shares prompts or a seed with the candidates.

    Raises:
        UserError: naming the key and the remedy.
    """
    policy = experiment.policy
    sets = [name for name in experiment.evaluation_sets if name != ANNOTATED_SET]
    if policy.held_out is not None and policy.held_out not in sets:
        raise UserError(
            f"{path}: policy.held_out: unknown set '{policy.held_out}'; "
            f"{nearest(policy.held_out, sets)}"
        )
    single = [name for name in experiment.methods if name not in experiment.ensembles]
    for method in policy.methods or ():
        if method not in single:
            raise UserError(
                f"{path}: policy.methods: '{method}' is no method of the experiment with a model "
                f"of its own; {nearest(method, single)}"
            )
    for seed in policy.seeds or ():
        if seed not in experiment.seeds:
            raise UserError(
                f"{path}: policy.seeds: no reward model has the seed {seed}; take some of `seeds`"
            )
    for name, judge in policy.evaluation.judges.items():
        if isinstance(judge, TrainedJudge):
            _check_judge(f"{path}: policy.evaluation.judges.{name}", judge, experiment, sets)


def _check_judge(place: str, judge: TrainedJudge, experiment: Experiment, sets: list[str]) -> None:
    if judge.method not in method_names() or ensemble_base(judge.method):
        raise UserError(
            f"{place}.method: '{judge.method}' is no method with a model of its own; "
            f"{nearest(judge.method, method_names())}"
        )
    if judge.train_on not in sets or judge.train_on == experiment.policy.held_out:
        raise UserError(
            f"{place}.train_on: '{judge.train_on}' is not an evaluation set other than "
            f"policy.held_out; give one whose prompts neither candidates nor policies use"
        )
    if judge.seed in experiment.seeds:
        raise UserError(
            f"{place}.seed: {judge.seed} is the seed of candidates too; give the judge another"
        )
