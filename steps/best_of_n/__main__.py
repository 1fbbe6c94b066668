"""``python -m steps.best_of_n tables|figures``: the picks of reward models among sampled responses.

tables writes scores.csv (judges' scores, gains and lengths of the picks against N and its
divergence), comparisons.csv (picks against picks), pick_lengths.csv, and the paper's tables T4 and
T5 as best_of_n.md, best_of_n.tex and best_of_n_comparisons.tex. figures draws the CSV files as PNG
and PDF: best_of_n_judged, over_optimisation and pick_lengths.
"""

import argparse
from pathlib import Path

from steps.config import load_experiment
from steps.errors import run_command
from steps.provenance import RunCard


def main() -> None:
    arguments = _parser().parse_args()
    experiment = load_experiment(arguments.experiment)
    settings = experiment.evaluation.model_dump()
    if arguments.what == "tables":
        inputs = [arguments.groups, *arguments.rewards, *arguments.judges]
    else:
        inputs = [arguments.tables]
    step = f"best_of_n {arguments.what}"
    card = RunCard(step, settings, path=arguments.card, inputs=inputs, experiment=experiment)
    if arguments.what == "tables":
        from steps.best_of_n.candidates import read_candidates
        from steps.best_of_n.tables import best_of_n_tables, write_best_of_n

        given = arguments.groups, arguments.rewards, arguments.judges
        candidates = read_candidates(experiment, *given)
        tables_ = best_of_n_tables(candidates, experiment)
        write_best_of_n(arguments.output, tables_, experiment)
    else:
        # Matplotlib is slow to import, so only where it is needed.
        from steps.best_of_n.figures import write_figures

        write_figures(arguments.tables, experiment, arguments.output)
    card.write([arguments.output])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m steps.best_of_n",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_subparsers(dest="what", required=True)
    tables = what.add_parser("tables", help="measure the picks")
    tables.add_argument("--groups", type=Path, required=True, help="sampled groups (parquet)")
    tables.add_argument(
        "--rewards",
        type=Path,
        nargs="+",
        required=True,
        help="scores of the groups (parquet), one file for each trained reward model",
    )
    tables.add_argument(
        "--judges",
        type=Path,
        nargs="*",
        default=[],
        help="what `python -m steps.policy judge` wrote, each called as its file; where the "
        "correctness of all responses is known, it is the judge 'exact'",
    )
    figures = what.add_parser("figures", help="draw the tables")
    figures.add_argument("--tables", type=Path, required=True, help="folder of the tables")
    for command in (tables, figures):
        command.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
        command.add_argument("--output", type=Path, required=True, help="folder to write")
        command.add_argument("--card", type=Path, help="run card to write (provenance)")
    return parser


if __name__ == "__main__":
    run_command(main)
