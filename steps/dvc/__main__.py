"""``python -m steps.dvc stages|parameters``: the workflow as DVC runs it.

stages writes dvc.yaml from the Snakefile and an experiment. parameters is the first stage there: it
writes what every job reads of the experiment, and refuses a dvc.yaml that is not made of the
Snakefile and the experiment as they are. Both run in the root of the repository.
"""

import argparse
from pathlib import Path

from steps.dvc.graph import plan_jobs
from steps.dvc.stages import MADE_BY, dvc_yaml, parameters, parameters_file
from steps.errors import UserError, run_command
from steps.files import write_json, write_text

FILE = Path("dvc.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m steps.dvc",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=["stages", "parameters"])
    parser.add_argument("--experiment", default="quickstart", help="name of a file in config/")
    arguments = parser.parse_args()
    name = arguments.experiment
    jobs = plan_jobs(name)
    text = dvc_yaml(name, jobs)
    if arguments.what == "stages":
        write_text(FILE, text)
        return
    if FILE.read_text(encoding="utf-8") != text:
        raise UserError(
            f"{FILE} is not made of the Snakefile and config/{name}.yaml as they are now; run "
            f"`{MADE_BY.format(name)}`, then `dvc repro` again"
        )
    write_json(Path(parameters_file(name)), parameters(jobs))


if __name__ == "__main__":
    run_command(main)
