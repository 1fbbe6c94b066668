"""``python -m steps.export``: a trained reward model as a folder that stands alone.

Writes config.json, model.safetensors (one file, adapters merged), tokenizer.json,
tokenizer_config.json (chat template inside), README.md (the model card) and provenance.json.
``python -m steps.export push --help`` tells how to upload such a folder.
"""

import argparse
import os
import sys
from pathlib import Path

from steps.config import load_experiment
from steps.errors import run_command
from steps.export.published import GUIDE
from steps.export.push import push_main
from steps.outputs import check_outputs
from steps.provenance import RunCard


def main() -> None:
    if sys.argv[1:2] == ["push"]:
        return push_main(sys.argv[2:])
    parser = argparse.ArgumentParser(
        prog="python -m steps.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained model")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--experiment", type=Path, help="config/<name>.yaml: data, licences")
    parser.add_argument("--evaluation", type=Path, help="folder of the evaluate step: scores")
    parser.add_argument("--training-card", type=Path, help="run card of the train step")
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")
    arguments = parser.parse_args()
    read = [arguments.model, arguments.experiment, arguments.evaluation, arguments.training_card]
    check_outputs([arguments.card], read, arguments.output)

    from steps.export.folder import export_model  # takes seconds, which `push` does not need

    experiment = load_experiment(arguments.experiment) if arguments.experiment else None
    inputs = filter(None, [arguments.model, arguments.evaluation, Path(os.path.relpath(GUIDE))])
    card = RunCard("export", {}, path=arguments.card, inputs=inputs, experiment=experiment)
    export_model(
        arguments.model,
        arguments.output,
        experiment,
        arguments.evaluation,
        arguments.training_card,
    )
    card.write([arguments.output])


if __name__ == "__main__":
    run_command(main)
