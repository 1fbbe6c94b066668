"""``python -m steps.download model|champ``: fetch the backbone, or the raw CHAMP data."""

import argparse
from pathlib import Path

from steps.config import load_experiment
from steps.config.schema import Experiment, HubBackbone, LocalBackbone, SmolLM2Backbone
from steps.errors import UserError, run_command
from steps.provenance import RunCard


def _download_model(experiment: Experiment, output: Path) -> None:
    match experiment.backbone:
        case SmolLM2Backbone():
            from steps.download.smollm2 import download_smollm2

            download_smollm2(output)
        case HubBackbone() as backbone:
            from steps.download.hub import download_hub

            download_hub(backbone, output)
        case LocalBackbone(path=path):
            raise UserError(f"the backbone is the local folder {path}: nothing to download")
        case backbone:
            from steps.download.tiny import make_tiny

            make_tiny(backbone, output)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m steps.download", description=__doc__)
    what = parser.add_subparsers(dest="what", required=True)
    model = what.add_parser("model", help="fetch or make the backbone of an experiment")
    model.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    model.add_argument("--output", type=Path, required=True, help="model folder to write")
    champ = what.add_parser("champ", help="fetch the raw CHAMP data from PyPI")
    champ.add_argument("--output", type=Path, required=True, help="JSON file to write")
    for command in (model, champ):
        command.add_argument("--card", type=Path, help="run card to write (provenance)")
    arguments = parser.parse_args()

    if arguments.what == "champ":
        from steps.download.champ import CHAMP, download_champ

        card = RunCard("download", vars(CHAMP))
        download_champ(arguments.output)
    else:
        experiment = load_experiment(arguments.experiment)
        card = RunCard("download", experiment.backbone.model_dump())
        _download_model(experiment, arguments.output)
    card.write(arguments.card, [], [arguments.output])


if __name__ == "__main__":
    run_command(main)
