"""The sets of the paper-scale experiments, out of raw folders; see `steps.config.hub_data`."""

from collections import Counter
from pathlib import Path
from typing import Any

from steps.config.hub_data import (
    HubData,
    Prm800kData,
    Problems,
    SkyworkData,
    UnifiedFeedbackData,
)
from steps.errors import UserError
from steps.files import read_json
from steps.groups.leaks import drop_shared_prompts
from steps.groups.prm800k import (
    graded_file,
    read_problems,
    solution_groups,
    split_validation,
)
from steps.groups.problems import problems_file, source_of
from steps.groups.raw import SOURCE_FILE
from steps.groups.schema import PromptGroup
from steps.groups.skywork import skywork_groups
from steps.groups.unified_feedback import unified_feedback_groups
from steps.progress import Progress

Sets = dict[str, list[PromptGroup]]


def hub_sets(
    data: HubData, raw: list[Path], sampled: dict[str, Path] | None = None
) -> tuple[Sets, dict[str, Any]]:
    """Make 'train' and the evaluation sets, and the counts of what was left out.

    A prompt that training has too is a fact of these data sets: it leaves the other set.

    Args:
        raw: the folders of `data.hub_sets()`, in that order.
        sampled: the solutions of each of `Experiment.sampled_sets`.
    Raises:
        UserError: a folder or a file is missing or bad.
    """
    _check_raw(data, raw)
    match data:
        case UnifiedFeedbackData():
            sets, left_out = _unified_feedback(data, *raw)
        case SkyworkData():
            sets, left_out = _skywork(data, *raw)
        case Prm800kData():
            sets, left_out = _prm800k(data, sampled or {}, raw)
    for name, shared in drop_shared_prompts(sets).items():
        left_out[f"{name} prompts that training has too"] += shared
    return sets, {"left_out": left_out, "raw": [read_json(path / SOURCE_FILE) for path in raw]}


def _unified_feedback(data: UnifiedFeedbackData, folder: Path) -> tuple[Sets, Counter]:
    sets, left_out = {}, Counter()
    for name, split in (("train", "train"), ("validation", "val")):
        counts: Counter = Counter()
        sets[name] = unified_feedback_groups(folder, split, data.every, counts)
        left_out += _named(counts, f"Unified-Feedback {split}")
    return sets, left_out


def _skywork(data: SkyworkData, folder: Path, extra: Path | None = None) -> tuple[Sets, Counter]:
    counts: Counter = Counter()
    train, held_out = skywork_groups(folder, data.held_out_every, counts)
    left_out = _named(counts, "Skywork")
    if extra is not None:
        counts = Counter()
        train += unified_feedback_groups(extra, "train", data.unified_feedback_every, counts)
        left_out += _named(counts, "Unified-Feedback train")
    return {"train": train, "validation": held_out}, left_out


def _check_raw(data: HubData, raw: list[Path]) -> None:
    wanted = data.hub_sets()
    if len(raw) != len(wanted):
        folders = " ".join(str(hub_set.folder) for hub_set in wanted) or "no folder"
        raise UserError(f"the data is {data.source}: give --raw {folders}")


def _prm800k(data: Prm800kData, sampled: dict[str, Path], raw: list[Path]) -> tuple[Sets, Counter]:
    data.check_files()
    folders = dict(zip((each.problems for each in data.hub_sets()), raw, strict=True))
    left_out: Counter = Counter()

    def graded(name: str, problems: Problems, first: int, solutions: Path) -> list[PromptGroup]:
        answers = read_problems(problems_file(problems, folders.get(problems)), first)
        progress = Progress(f"grading solutions of {name}", len(answers), "problems")
        counts: Counter = Counter()
        groups = solution_groups(answers, solutions, source_of(name), counts, progress.advance)
        left_out.update(_named(counts, name))
        return groups

    solutions = sampled.get("train") or Path(data.samples)
    groups = graded("train", data.problems, data.first, solutions)
    train, validation = split_validation(groups, data.validation_share, data.split_seed)
    sets = {"train": train, "validation": validation}
    for name, entry in data.evaluation.items():
        if isinstance(entry, str):
            sets[name] = graded_file(Path(entry))
        else:
            sets[name] = graded(name, entry.problems, entry.first, sampled[name])
    return sets, left_out


def _named(counts: Counter, name: str) -> Counter:
    return Counter({f"{reason} ({name})": count for reason, count in counts.items()})
