"""``python -m steps.policy reference|train|kl|judge|check-judge|evaluate``: the starting policy's
log-probabilities of all pairs, one policy trained on one file of pairs, how far it moved, the
rewards of one judge, whether that judge is independent, and the comparison of all policies.

Several processes: ``torchrun --nproc-per-node N -m steps.policy train ...``, same arguments.
"""

import argparse
from importlib import import_module
from pathlib import Path
from typing import get_args

from steps.config import load_experiment
from steps.config.policy import SampleUse
from steps.errors import UserError, run_command

# Module and function, imported when asked for: torch, transformers and trl take seconds, and
# `evaluate` needs none of them, `check-judge` only the first.
ACTIONS = {
    "reference": ("reference", "write_reference"),
    "train": ("train", "train_policy"),
    "kl": ("divergence", "write_log_ratios"),
    "judge": ("judge", "write_judged"),
    "check-judge": ("independence", "check_judge"),
    "evaluate": ("evaluate", "evaluate_policies"),
}


def main() -> None:
    arguments = _parser().parse_args()
    experiment = load_experiment(arguments.experiment)
    policy = experiment.policy
    if policy is None or (arguments.action in ("reference", "train", "kl") and policy.dpo is None):
        raise UserError(f"{arguments.experiment} has no section 'policy.dpo'; add it to train one")
    if arguments.action != "evaluate":
        from steps.device import use_threads

        use_threads(experiment.threads)
    module, function = ACTIONS[arguments.action]
    action = getattr(import_module(f"steps.policy.{module}"), function)
    action(arguments, experiment)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m steps.policy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    reference = actions.add_parser(
        "reference", help="log-probabilities of all pairs under the starting policy"
    )
    reference.add_argument(
        "--pairs", type=Path, nargs="+", required=True, help="pairs files (parquet)"
    )
    train = actions.add_parser("train", help="train one policy (DPO)")
    train.add_argument("--pairs", type=Path, required=True, help="pairs file (parquet)")
    train.add_argument("--reference", type=Path, required=True, help="file of `reference`")
    train.add_argument("--seed", type=int, required=True)
    train.add_argument("--work", type=Path, help="folder for checkpoints (default: OUTPUT.work)")
    train.add_argument("--training-log", type=Path, required=True, help="log to write (CSV)")
    kl = actions.add_parser("kl", help="log-probabilities of a policy's own samples")
    kl.add_argument("--samples", type=Path, required=True, help="its samples (parquet)")
    kl.add_argument("--reference-model", type=Path, required=True, help="folder it started from")
    judge = actions.add_parser("judge", help="rewards of one judge for the samples of policies")
    judge.add_argument("--judge", required=True, help="its name in policy.evaluation.judges")
    for command in (reference, train, kl, judge):
        command.add_argument("--model", type=Path, required=True, help="model folder")
    _add_check(actions)
    evaluate = actions.add_parser("evaluate", help="compare the policies")
    evaluate.add_argument(
        "--groups", type=Path, required=True, help="groups whose prompts they answered (parquet)"
    )
    for command in (kl, evaluate):
        command.add_argument(
            "--use", choices=get_args(SampleUse), required=True, help="how they were sampled"
        )
    for command in (judge, evaluate):
        command.add_argument(
            "--samples", type=Path, nargs="+", required=True, help="samples of the policies"
        )
    evaluate.add_argument(
        "--judged", type=Path, nargs="*", default=[], help="files of `judge`, named after it"
    )
    evaluate.add_argument("--log-ratios", type=Path, nargs="*", default=[], help="files of `kl`")
    for command in actions.choices.values():
        command.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
        command.add_argument("--output", type=Path, required=True, help="file or folder to write")
        command.add_argument("--card", type=Path, help="run card to write (provenance)")
    return parser


def _add_check(actions) -> None:
    check = actions.add_parser("check-judge", help="refuse a judge that candidates share with")
    check.add_argument("--judge", type=Path, required=True, help="its model folder")
    check.add_argument("--judge-card", type=Path, required=True, help="card of its training")
    check.add_argument("--judge-groups", type=Path, required=True, help="groups it learnt from")
    check.add_argument(
        "--candidates", type=Path, nargs="+", required=True, help="reward models (folders)"
    )
    check.add_argument(
        "--candidate-cards", type=Path, nargs="+", required=True, help="cards of their training"
    )
    check.add_argument(
        "--candidate-groups", type=Path, required=True, help="groups they were trained on"
    )
    check.add_argument(
        "--prompts",
        type=Path,
        nargs="+",
        required=True,
        help="groups whose prompts the judge must not know: the candidates', the policies'",
    )
    check.add_argument("--backbone", type=Path, required=True, help="folder all started from")


if __name__ == "__main__":
    run_command(main)
