"""The sets of the paper-scale experiments, out of raw folders; see `steps.config.hub_data`."""

from collections import Counter
from pathlib import Path
from typing import Any

from steps.config.hub_data import (
    HubData,
    LocalProblems,
    Prm800kData,
    SkyworkData,
    UnifiedFeedbackData,
)
from steps.errors import UserError
from steps.files import read_json
from steps.groups.leaks import drop_shared_prompts
from steps.groups.prm800k import (
    graded_file,
    prm800k_groups,
    read_problems,
    split_validation,
)
from steps.groups.raw import PROBLEMS_FILE, SOURCE_FILE
from steps.groups.schema import PromptGroup
from steps.groups.skywork import skywork_groups
from steps.groups.unified_feedback import unified_feedback_groups
from steps.progress import Progress

Sets = dict[str, list[PromptGroup]]


def hub_sets(
    data: HubData, raw: list[Path], sampled: Path | None = None
) -> tuple[Sets, dict[str, Any]]:
    """Make 'train' and 'validation', and the counts of what was left out.

    A prompt that training has too is a fact of these data sets: it leaves the other set.

    Args:
        raw: the folders of `data.hub_sets()`, in that order.
        sampled: the solutions that `data.sampling` asks for.
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
            sets, left_out = _prm800k(data, sampled, *raw)
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


def prm800k_problems(data: Prm800kData, raw: list[Path]) -> dict[str, str]:
    """Return the gold answer of each problem; see `hub_sets` and `read_problems`."""
    _check_raw(data, raw)
    match data.problems:
        case LocalProblems(path=path):
            return read_problems(Path(path), data.first)
        case _:
            return read_problems(raw[0] / PROBLEMS_FILE, data.first)


def _prm800k(data: Prm800kData, sampled: Path | None, *raw: Path) -> tuple[Sets, Counter]:
    data.check_files()
    if data.sampling is not None and sampled is None:
        raise UserError("data.sampling: give the sampled solutions with --solutions")
    left_out: Counter = Counter()
    problems = prm800k_problems(data, list(raw))
    progress = Progress("grading solutions", len(problems), "problems")
    solutions = sampled or Path(data.samples)
    groups = prm800k_groups(problems, solutions, left_out, progress.advance)
    train, validation = split_validation(groups, data.validation_share, data.split_seed)
    sets = {"train": train, "validation": validation}
    for name, path in data.evaluation.items():
        sets[name] = graded_file(Path(path))
    return sets, left_out


def _named(counts: Counter, name: str) -> Counter:
    return Counter({f"{reason} ({name})": count for reason, count in counts.items()})
