"""``python -m steps.benchmarks groups|items|score``: a benchmark's groups, items and numbers.

`groups` turns the folder of `python -m steps.download benchmark`, or a file of rows, into prompt
groups. `items` joins them with the scores that `python -m steps.score` gave them to the table of
per-item results (`steps/benchmarks/items.py`). `score` turns that table into the benchmark's
numbers, each with a bootstrap interval over prompts; `items` prints them too. docs/benchmarks.md
has the rules.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from steps.benchmarks.items import read_items, write_items
from steps.benchmarks.left_out import read_left_out_rows, write_whole_groups
from steps.benchmarks.registry import BENCHMARKS, with_ties_rule
from steps.benchmarks.rows import benchmark_groups, local_groups
from steps.benchmarks.scored import read_scored, scored_items
from steps.benchmarks.scores import score_table, sentences, write_scores
from steps.benchmarks.ties import TiesRule
from steps.config import load_experiment
from steps.config.schema import Evaluation
from steps.errors import UserError, run_command
from steps.files import read_json
from steps.groups.raw import SOURCE_FILE
from steps.groups.schema import read_groups
from steps.outputs import check_ending, check_outputs
from steps.provenance import RunCard


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m steps.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_subparsers(dest="what", required=True)
    groups = what.add_parser("groups", help="make the prompt groups of a benchmark")
    rows = groups.add_mutually_exclusive_group(required=True)
    rows.add_argument("--raw", type=Path, help="folder of the download step")
    rows.add_argument("--rows", type=Path, help="file of rows in the benchmark's layout")
    groups.add_argument("--backbone", type=Path, help="leave out rows that it cannot read whole")
    groups.add_argument("--experiment", type=Path, help="config/<name>.yaml of the backbone")
    items = what.add_parser("items", help="join groups and scores of one model; print the numbers")
    items.add_argument("--groups", type=Path, required=True, help="of `groups` (parquet)")
    items.add_argument("--scores", type=Path, required=True, help="of `steps.score` (parquet)")
    score = what.add_parser("score", help="compute the numbers of a benchmark from its items")
    score.add_argument("--items", type=Path, required=True, help="per-item results (parquet)")
    score.add_argument(
        "--ties-rule", choices=get_args(TiesRule), help="of RewardBench 2 (default: present)"
    )
    score.add_argument(
        "--experiment",
        type=Path,
        help="config/<name>.yaml, whose `evaluation` sets the bootstrap (else its defaults)",
    )
    outputs = ((groups, "groups (parquet)"), (items, "items (parquet)"), (score, "numbers (CSV)"))
    for command, output in outputs:
        command.add_argument("--benchmark", choices=BENCHMARKS, required=True)
        command.add_argument("--output", type=Path, required=True, help=f"{output} to write")
        command.add_argument("--card", type=Path, help="run card to write (provenance)")
    return parser


def _groups(arguments: argparse.Namespace) -> None:
    benchmark = BENCHMARKS[arguments.benchmark]
    if (arguments.backbone is None) != (arguments.experiment is None):
        raise UserError("give --backbone and --experiment together, or neither")
    experiment = load_experiment(arguments.experiment) if arguments.experiment else None
    card = RunCard(
        "benchmarks groups",
        {"benchmark": benchmark.name},
        path=arguments.card,
        inputs=filter(None, [arguments.raw, arguments.rows, arguments.backbone]),
        experiment=experiment,
    )
    if arguments.raw:
        source = read_json(arguments.raw / SOURCE_FILE)
        groups, left_out = benchmark_groups(benchmark, arguments.raw)
    else:
        source = None
        groups, left_out = local_groups(benchmark, arguments.rows)
    if experiment:
        # Imported late: it imports torch.
        from steps.benchmarks.fit import whole_groups

        groups, unread = whole_groups(groups, arguments.backbone, experiment)
        left_out += unread
    write_whole_groups(arguments.output, groups, left_out)
    facts = {"raw": source, "left_out": [asdict(row) for row in left_out]}
    card.write([arguments.output], **facts)
    print(f"{arguments.output}: {len(groups)} rows")
    for row in left_out:
        print(f"left out: '{row.id}': {row.reason}")


def _items(arguments: argparse.Namespace) -> None:
    benchmark = BENCHMARKS[arguments.benchmark]
    inputs = [arguments.groups, arguments.scores]
    settings = {"benchmark": benchmark.name}
    card = RunCard("benchmarks items", settings, path=arguments.card, inputs=inputs)
    groups = read_groups(arguments.groups)
    for group in groups:
        if group.source != benchmark.name:
            raise UserError(
                f"{arguments.groups}: '{group.group_id}' is no row of {benchmark.title}; give the "
                f"output of `python -m steps.benchmarks groups --benchmark {benchmark.name}`"
            )
    scored = read_scored(arguments.scores, groups)
    items = scored_items(benchmark, groups, scored, read_left_out_rows(arguments.groups))
    write_items(arguments.output, items, benchmark)
    card.write([arguments.output])
    print("\n".join(sentences(score_table(items, benchmark, Evaluation()))))


def _score(arguments: argparse.Namespace) -> None:
    benchmark = with_ties_rule(BENCHMARKS[arguments.benchmark], arguments.ties_rule)
    rule = (arguments.ties_rule or "present") if benchmark.name == "rewardbench2" else None
    evaluation = Evaluation()
    if arguments.experiment:
        evaluation = load_experiment(arguments.experiment).evaluation
    settings = {"benchmark": benchmark.name, "ties_rule": rule}
    settings |= {"evaluation": evaluation.model_dump()}
    card = RunCard("benchmarks score", settings, path=arguments.card, inputs=[arguments.items])
    table = score_table(read_items(arguments.items, benchmark), benchmark, evaluation)
    write_scores(arguments.output, table)
    card.write([arguments.output])
    print("\n".join(sentences(table)))


def main() -> None:
    arguments = _parser().parse_args()
    check_ending(arguments.output, ".csv" if arguments.what == "score" else ".parquet")
    given = {name: value for name, value in vars(arguments).items() if isinstance(value, Path)}
    written = [given.pop("output"), given.pop("card", None)]
    check_outputs(written, given.values())
    {"groups": _groups, "items": _items, "score": _score}[arguments.what](arguments)


if __name__ == "__main__":
    run_command(main)
