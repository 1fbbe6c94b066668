"""``python -m steps.policy reference|train``: the starting policy's log-probabilities of all pairs,
and one policy trained on one file of pairs.

Several processes: ``torchrun --nproc-per-node N -m steps.policy train ...``, same arguments.
"""

import argparse
from pathlib import Path

import torch

from steps.config import load_experiment
from steps.errors import UserError, run_command
from steps.policy.reference import write_reference
from steps.policy.train import train_policy


def main() -> None:
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
    reference.add_argument("--output", type=Path, required=True, help="parquet file to write")
    train = actions.add_parser("train", help="train one policy (DPO)")
    train.add_argument("--pairs", type=Path, required=True, help="pairs file (parquet)")
    train.add_argument("--reference", type=Path, required=True, help="file of `reference`")
    train.add_argument("--seed", type=int, required=True)
    train.add_argument("--work", type=Path, help="folder for checkpoints (default: OUTPUT.work)")
    train.add_argument("--output", type=Path, required=True, help="model folder to write")
    train.add_argument(
        "--training-log", type=Path, required=True, help="training log to write (CSV)"
    )
    for command in (reference, train):
        command.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
        command.add_argument("--model", type=Path, required=True, help="folder to start from")
        command.add_argument("--card", type=Path, help="run card to write (provenance)")
    arguments = parser.parse_args()

    experiment = load_experiment(arguments.experiment)
    if experiment.policy is None or experiment.policy.dpo is None:
        raise UserError(f"{arguments.experiment} has no section 'policy.dpo'; add it to train one")
    torch.set_num_threads(experiment.threads)
    {"reference": write_reference, "train": train_policy}[arguments.action](arguments, experiment)


if __name__ == "__main__":
    run_command(main)
