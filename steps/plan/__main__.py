"""``python -m steps.plan``: what an experiment will take, said before anything long starts."""

import argparse
from pathlib import Path

import torch

from steps.config import load_experiment
from steps.config.load import load_extended
from steps.errors import run_command
from steps.files import write_json
from steps.outputs import check_outputs
from steps.plan.machine import this_machine
from steps.plan.make import make_plan
from steps.plan.report import report
from steps.plan.resources import resources


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m steps.plan",
        description="Say what an experiment will take, before anything long starts.",
        epilog="A job that does not fit into the memory of this machine is an error.",
    )
    parser.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    parser.add_argument("--output", type=Path, help="JSON file to write (resources of each rule)")
    parser.add_argument(
        "--no-probe", action="store_true", help="measure nothing: no hours, done in seconds"
    )
    arguments = parser.parse_args()
    check_outputs([arguments.output], [arguments.experiment])

    experiment = load_experiment(arguments.experiment)
    torch.set_num_threads(experiment.threads)
    name = arguments.experiment.stem
    extended = load_extended(arguments.experiment, experiment)
    probe = not arguments.no_probe
    plan = make_plan(experiment, name, this_machine(), probe, extended)
    print(report(plan))
    if arguments.output is not None:
        write_json(arguments.output, resources(plan))


if __name__ == "__main__":
    run_command(main)
