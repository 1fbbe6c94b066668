"""``python -m steps.train generator|frozen|model``: fine-tune the generator, write the
frozen layers that all models share, or train one method with one seed.

Several processes: ``torchrun --nproc-per-node N -m steps.train model ...`` with the same arguments.
"""

import argparse
from pathlib import Path

from steps.config import load_experiment
from steps.device import use_threads
from steps.errors import run_command
from steps.train.frozen import write_frozen_layers
from steps.train.generator import train_generator
from steps.train.run import train_model


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m steps.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    generator = actions.add_parser("generator", help="fine-tune the generator on all responses")
    generator.add_argument("--model", type=Path, required=True, help="folder to start from")
    frozen = actions.add_parser(
        "frozen", help="write the frozen lower layers, shared by all models"
    )
    frozen.add_argument("--output", type=Path, required=True, help="safetensors file to write")
    model = actions.add_parser("model", help="train one method with one seed")
    model.add_argument("--method", required=True, help="a file of steps/objectives/methods")
    model.add_argument("--seed", type=int, required=True)
    model.add_argument("--cache", type=Path, required=True, help="cache folder of these groups")
    model.add_argument(
        "--frozen", type=Path, help="file of the action `frozen` (mode: upper_layers)"
    )
    model.add_argument(
        "--fsdp", action="store_true", help="shard the model over the processes (lora, full)"
    )
    for command in (frozen, model):
        command.add_argument("--backbone", type=Path, required=True, help="model folder")
    for command in (generator, model):
        command.add_argument("--groups", type=Path, required=True, help="training groups (parquet)")
        command.add_argument("--pairs", type=Path, required=True, help="training pairs (parquet)")
        command.add_argument(
            "--work", type=Path, help="folder for checkpoints (default: OUTPUT.work)"
        )
        command.add_argument("--output", type=Path, required=True, help="model folder to write")
        command.add_argument(
            "--training-log", type=Path, required=True, help="training log to write (CSV)"
        )
    for command in (generator, frozen, model):
        command.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
        command.add_argument("--card", type=Path, help="run card to write (provenance)")
    arguments = parser.parse_args()

    experiment = load_experiment(arguments.experiment)
    use_threads(experiment.threads)
    actions_by_name = {
        "generator": train_generator,
        "frozen": write_frozen_layers,
        "model": train_model,
    }
    actions_by_name[arguments.action](arguments, experiment)


if __name__ == "__main__":
    run_command(main)
