"""What a policy part must fit to: the sets, seeds and methods of its experiment, and itself."""

from pathlib import Path

from steps.config.dpo import EXACT, TrainedJudge
from steps.config.policy import Policy
from steps.config.schema import ANNOTATED_SET, Experiment
from steps.errors import UserError, nearest
from steps.objectives.registry import ensemble_base, method_names


def check_policy(path: Path, experiment: Experiment) -> None:
    """Check names, samples, and that no judge shares prompts or a seed with the candidates.

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
    _check_samples(f"{path}: policy", policy)
    if EXACT in policy.evaluation.judges:
        raise UserError(
            f"{path}: policy.evaluation.judges: '{EXACT}' has a meaning of its own; rename that "
            "judge"
        )
    for name, judge in policy.evaluation.judges.items():
        if isinstance(judge, TrainedJudge):
            _check_judge(f"{path}: policy.evaluation.judges.{name}", judge, experiment, sets)


def _check_samples(place: str, policy: Policy) -> None:
    """Check that the samples of each use are such as it takes."""
    sampling = policy.sampling
    if policy.dpo is not None and "pairs" not in sampling:
        raise UserError(
            f"{place}.sampling.pairs is missing, the samples that policy.dpo trains on; give their "
            "samples and max_new_tokens, or take policy.dpo out"
        )
    if policy.dpo is not None and not {"policies", "policies_sampled"} & set(sampling):
        raise UserError(
            f"{place}.sampling.policies is missing, the answers of the policies that policy.dpo "
            "trains; give it or policies_sampled, or take policy.dpo out"
        )
    chosen_among = ["best_of_n", "pairs"] if policy.dpo is not None else ["best_of_n"]
    for use in chosen_among:
        if use in sampling and sampling[use].samples < 2:
            raise UserError(
                f"{place}.sampling.{use}.samples is 1, but a reward model chooses between samples "
                "of a prompt; give at least 2, and a temperature above 0"
            )
    drawn = sampling.get("policies_sampled")
    for key in ("temperature", "top_p"):
        if drawn is not None and getattr(drawn, key) != 1:
            raise UserError(
                f"{place}.sampling.policies_sampled.{key} is {getattr(drawn, key):g}, but must be "
                "1, since these samples tell the divergence; take others under "
                "policy.sampling.policies"
            )


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
