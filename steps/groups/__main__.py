"""``python -m steps.groups problems|prepare|select``: from raw data to the groups that enter."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steps.config import Experiment, load_experiment
from steps.config.hub_data import HubData, Prm800kData
from steps.config.schema import ANNOTATED_SET, ChampData, Data, FileData, ToyData
from steps.errors import UserError, run_command
from steps.files import atomic_path, remove, write_json
from steps.groups import problems, select
from steps.groups.files import read_file
from steps.groups.leaks import leak_report, refuse_leaks
from steps.groups.order import mixed_labels_note
from steps.groups.schema import PromptGroup, check_groups, write_groups
from steps.groups.splits import assign_splits, build_sets, keep_labelled
from steps.provenance import RunCard

Sets = dict[str, list[PromptGroup]]


def champ_sets(settings: ChampData, raw: Path) -> tuple[Sets, dict[str, Any]]:
    """Make CHAMP's sets from the package's JSON; return them with the counts of what happened."""
    from steps.groups.champ import champ_groups, champ_problems, load_champ
    from steps.groups.grading import grade_answer
    from steps.progress import Progress

    problems = load_champ(raw)
    progress = Progress("grading CHAMP", len(problems), "problems")
    groups, conversion = champ_groups(problems, grade_answer, str(raw), progress.advance)
    splits = assign_splits(champ_problems(problems), settings.test_share, settings.split_seed)
    sets, left_out = build_sets(groups, splits.split_of, settings.with_hints)
    return sets, {
        "conversion": dict(conversion),
        "near_duplicate_clusters": splits.clusters,
        "dropped_near_duplicates_of_held_out_problems": splits.dropped,
        "left_out": dict(left_out),
    }


def toy_sets(settings: ToyData) -> tuple[Sets, dict[str, Any]]:
    """Generate the toy sets."""
    from steps.groups.toy import toy_groups

    groups, split_of = toy_groups(settings)
    sets, left_out = build_sets(groups, split_of, with_hints=False)
    return sets, {"left_out": dict(left_out)}


def file_sets(settings: FileData) -> tuple[Sets, dict[str, Any]]:
    """Read the user's files. Responses without a label are left out, annotated ones kept."""
    left_out: Counter = Counter()
    notes: list[str] = []
    sets: Sets = {}
    for name, path in {"train": settings.train, **settings.evaluation}.items():
        groups = read_file(Path(path), notes)
        mixed = mixed_labels_note(path, groups)
        notes += [mixed] if mixed else []
        if name != ANNOTATED_SET:
            groups = [keep_labelled(group, left_out) for group in groups]
        sets[name] = [group for group in groups if group.responses]
        left_out["prompts without a response left"] += len(groups) - len(sets[name])
    return sets, {"left_out": dict(left_out), "notes": list(dict.fromkeys(notes))}


def make_sets(
    experiment: Experiment, raw: list[Path], solutions: Sequence[Path] = ()
) -> tuple[Sets, dict[str, Any]]:
    """Make the sets of an experiment, 'train' first, and the counts of what was left out.

    Args:
        solutions: those of each of `experiment.sampled_sets`, in that order.
    Raises:
        UserError: an input is bad or a set is empty.
    """
    sampled = list(experiment.sampled_sets)
    if len(solutions) != len(sampled):
        raise UserError(
            "--solutions takes a file of every set whose solutions are sampled: give "
            f"{len(sampled)}" + f" ({', '.join(sampled)}, in this order)" * bool(sampled)
        )
    match experiment.data:
        case ChampData() as data:
            if len(raw) != 1:
                raise UserError("the data is CHAMP: give its JSON file with --raw")
            sets, facts = champ_sets(data, raw[0])
        case ToyData() as data:
            sets, facts = toy_sets(data)
        case HubData() as data:
            from steps.groups.hub_sets import hub_sets

            sets, facts = hub_sets(data, raw, dict(zip(sampled, solutions, strict=True)))
        case data:
            sets, facts = file_sets(data)
    for name, groups in sets.items():
        if not groups:
            raise UserError(
                f"the set '{name}' has no response whose correctness or score is known; give data "
                "with labels"
            )
        check_groups(groups, name)
    facts["left_out"] = {reason: n for reason, n in facts["left_out"].items() if n}
    return sets, facts


def describe(groups: list[PromptGroup]) -> dict[str, Any]:
    """Count what a set holds."""
    responses = [r for group in groups for r in group.responses]
    labels = [{r.correct for r in group.responses} for group in groups]
    return {
        "prompts": len(groups),
        "prompts_with_right_and_wrong": sum({True, False} <= known for known in labels),
        "responses": len(responses),
        "right": sum(r.correct is True for r in responses),
        "wrong": sum(r.correct is False for r in responses),
        "scored": sum(r.score is not None for r in responses),
        "hinted": sum(r.hinted for r in responses),
        "with_wrong_step": sum(r.error_start is not None for r in responses),
        "by_model": dict(Counter(r.model or "unknown" for r in responses)),
        "by_category": dict(Counter(group.category for group in groups)),
    }


def prepare(arguments: argparse.Namespace) -> None:
    """Write the folder of one experiment's groups, with ``leaks.json`` and ``preparation.json``."""
    experiment = load_experiment(arguments.experiment)
    data = experiment.data
    card = RunCard(
        "prepare",
        data.model_dump(),
        path=arguments.card,
        inputs=[*arguments.raw, *arguments.solutions, *_own_files(data)],
        experiment=experiment,
    )
    sets, facts = make_sets(experiment, arguments.raw, arguments.solutions)
    # Before anything can be refused: a note may name the cause.
    for note in facts.get("notes", ()):
        print(f"note: {note}", file=sys.stderr)
    leaks = leak_report(sets)
    _refuse_leaks(leaks, data, arguments.output)
    facts["sets"] = {name: describe(groups) for name, groups in sets.items()}
    with atomic_path(arguments.output) as folder:
        folder.mkdir()
        for name in ["train", *experiment.evaluation_sets]:
            write_groups(folder / f"{name}.parquet", sets[name])
        write_json(folder / "leaks.json", leaks)
        write_json(folder / "preparation.json", facts)
    _report(facts, leaks, warn=isinstance(data, FileData))
    card.write([arguments.output])


def _refuse_leaks(leaks: dict[str, Any], data: Data, output: Path) -> None:
    """Refuse sets that share prompts, and leave the report beside the output that is not written.

    Only the CHAMP split is ours to keep free of near-duplicates. Toy sums are alike by
    construction, and a user's template-made prompts may be: there they are reported.
    """
    place = output.with_name(f"{output.name}.leaks.json")
    remove(place)
    try:
        refuse_leaks(leaks, isinstance(data, ChampData), place)
    except UserError:
        write_json(place, leaks)
        raise


def _own_files(data: Data) -> list[Path]:
    """The user's files that the experiment names."""
    match data:
        case FileData(train=train, evaluation=evaluation):
            return [Path(train), *map(Path, evaluation.values())]
        case Prm800kData(own_files=files):
            return [*map(Path, files.values())]
        case _:
            return []


def _report(facts: dict[str, Any], leaks: dict[str, Any], warn: bool) -> None:
    for name, counts in facts["sets"].items():
        print(
            f"{name}: {counts['prompts']:,} prompts ({counts['prompts_with_right_and_wrong']:,} "
            f"with right and wrong responses), {counts['responses']:,} responses"
        )
    for reason, count in facts["left_out"].items():
        print(f"left out: {count:,} {reason}")
    for entry in leaks["comparisons"]:
        near = entry["near_duplicate_prompts"]
        if warn and near["count"]:
            a, b = near["groups"][0]
            print(
                f"warning: {near['count']:,} near-duplicate prompts between {entry['sets'][0]} and "
                f"{entry['sets'][1]}, for example '{a}' and '{b}'; see leaks.json",
                file=sys.stderr,
            )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m steps.groups", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser(
        "prepare",
        help="raw data -> labelled prompt groups by split",
        description="Write train.parquet, one parquet per evaluation set, leaks.json and "
        "preparation.json. Prompts shared by two sets are an error; the report is then in "
        "OUTPUT.leaks.json.",
    )
    one.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    one.add_argument(
        "--raw",
        type=Path,
        nargs="+",
        default=[],
        help="what `python -m steps.download champ` or `data` wrote, in the experiment's order",
    )
    one.add_argument(
        "--solutions",
        type=Path,
        nargs="+",
        default=[],
        help="what `python -m steps.sample --use solutions` wrote: of train, then of the sets of "
        "data.evaluation, in the experiment's order",
    )
    one.add_argument("--output", type=Path, required=True, help="folder to write")
    one.add_argument("--card", type=Path, help="run card to write (provenance)")
    one.set_defaults(run=prepare)
    asked = commands.add_parser("problems", help="the problems that solutions are sampled of")
    problems.add_arguments(asked)
    asked.set_defaults(run=problems.run)
    two = commands.add_parser("select", help="prepared groups -> those that fit the experiment")
    select.add_arguments(two)
    two.set_defaults(run=select.run)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    run_command(main)
