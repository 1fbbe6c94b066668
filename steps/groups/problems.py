"""The problems that solutions are sampled of, as prompt groups."""

import argparse
from pathlib import Path

from steps.config import load_experiment
from steps.config.hub_data import Prm800kData
from steps.errors import UserError
from steps.groups.schema import PromptGroup, Response, write_groups
from steps.provenance import RunCard


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``run``."""
    parser.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    parser.add_argument(
        "--raw", type=Path, nargs="+", default=[], help="what `python -m steps.download data` wrote"
    )
    parser.add_argument("--output", type=Path, required=True, help="groups to write (parquet)")
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")


def run(arguments: argparse.Namespace) -> None:
    """Write a group for every problem."""
    from steps.groups.hub_sets import prm800k_problems

    experiment = load_experiment(arguments.experiment)
    data = experiment.data
    if not isinstance(data, Prm800kData):
        raise UserError(f"data.source: {data.source} has its responses; nothing is sampled")
    own = data.own_files.get("data.problems.path")
    card = RunCard(
        "problems",
        data.model_dump(),
        path=arguments.card,
        inputs=[*arguments.raw, *([Path(own)] if own else [])],
        experiment=experiment,
    )
    problems = prm800k_problems(data, arguments.raw)
    write_groups(arguments.output, problem_groups(problems))
    card.write([arguments.output])


def problem_groups(problems: dict[str, str]) -> list[PromptGroup]:
    """Return a group for each problem, in order.

    Its response is the gold answer: a group has one, and nothing reads it here. There is no
    reference answer, because samples are graded when the groups are prepared, once.
    """
    return [
        PromptGroup(
            group_id=f"prm800k/{number}",
            source="prm800k",
            category="all",
            prompt=problem,
            responses=(Response(answer, True),),
        )
        for number, (problem, answer) in enumerate(problems.items())
    ]
