"""The problems that solutions are sampled of, as prompt groups."""

import argparse
from pathlib import Path

from steps.config import load_experiment
from steps.config.hub_data import LocalProblems, Problems
from steps.errors import UserError
from steps.groups.prm800k import read_problems
from steps.groups.raw import PROBLEMS_FILE
from steps.groups.schema import PromptGroup, Response, write_groups
from steps.provenance import RunCard


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``run``."""
    parser.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    parser.add_argument(
        "--set",
        default="train",
        help="an entry of data.evaluation (default: train, the problems of data.sampling)",
    )
    parser.add_argument(
        "--raw", type=Path, help="what `python -m steps.download data` wrote of the set"
    )
    parser.add_argument("--output", type=Path, required=True, help="groups to write (parquet)")
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")


def run(arguments: argparse.Namespace) -> None:
    """Write a group for every problem of a set."""
    experiment = load_experiment(arguments.experiment)
    asked = experiment.sampled_set(arguments.set)
    settings = {"set": arguments.set, "problems": asked.problems.model_dump(), "first": asked.first}
    file = problems_file(asked.problems, arguments.raw)
    card = RunCard(
        "problems",
        settings,
        path=arguments.card,
        inputs=[arguments.raw or file],
        experiment=experiment,
    )
    groups = problem_groups(read_problems(file, asked.first), source_of(arguments.set))
    write_groups(arguments.output, groups)
    card.write([arguments.output])


def problems_file(problems: Problems, raw: Path | None) -> Path:
    """Return the file that problems are read from.

    Args:
        raw: what the download step wrote, where they are of the hub.
    Raises:
        UserError: they are of the hub, but ``raw`` is not given.
    """
    if isinstance(problems, LocalProblems):
        return Path(problems.path)
    if raw is None:
        raise UserError(f"the problems are those of {problems.id}: give their folder with --raw")
    return raw / PROBLEMS_FILE


def source_of(name: str) -> str:
    """Return what the groups of a set call their source."""
    return "prm800k" if name == "train" else name


def problem_groups(problems: dict[str, str], source: str) -> list[PromptGroup]:
    """Return a group for each problem, in order.

    Its response is the gold answer: a group has one, and nothing reads it here. There is no
    reference answer, because samples are graded when the groups are prepared, once.
    """
    return [
        PromptGroup(
            group_id=f"{source}/{number}",
            source=source,
            category="all",
            prompt=problem,
            responses=(Response(answer, True),),
        )
        for number, (problem, answer) in enumerate(problems.items())
    ]
