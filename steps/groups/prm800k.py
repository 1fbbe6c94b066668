"""Problems with a language model's solutions -> prompt groups of right and wrong responses."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from steps.errors import UserError
from steps.groups.files import read_uncleaned
from steps.groups.grading.boxed import grade_boxed
from steps.groups.schema import PromptGroup


def read_problems(path: Path, first: int) -> dict[str, str]:
    """Return the ``first`` distinct problems of a file with their gold answers.

    A line has ``{"question": {"problem", "ground_truth_answer"}}`` as in PRM800K's
    phase2_train.jsonl, or ``{"problem", "answer"}`` as in MATH-500; other keys are not read.
    PRM800K has a line per labelled solution, so most problems stand in several lines.

    Raises:
        UserError: the file is missing, a line has another layout, or there are too few problems.
    """
    problems: dict[str, str] = {}
    try:
        with Path(path).open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                problem, answer = _problem(line, f"{path}: line {number}")
                problems.setdefault(problem.strip(), answer)
                if len(problems) == first:
                    return problems
    except FileNotFoundError:
        raise UserError(f"{path} is not there; run `python -m steps.download data`") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error}); fetch it again") from None
    raise UserError(
        f"{path} has {len(problems):,} distinct problems, `first` asks for {first:,}; lower it"
    )


def _problem(line: str, place: str) -> tuple[str, str]:
    try:
        row = json.loads(line)
        if "question" in row:
            problem, answer = row["question"]["problem"], row["question"]["ground_truth_answer"]
        else:
            problem, answer = row["problem"], row["answer"]
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{place} has neither question.problem and question.ground_truth_answer, as PRM800K, "
            "nor problem and answer, as MATH-500; name another file, or fetch this one again, with "
            "large-file storage"
        ) from None
    if not all(isinstance(text, str) and text.strip() for text in (problem, answer)):
        raise UserError(f"{place}: the problem or its answer is not a text; fetch the file again")
    return problem, answer


def solution_groups(
    problems: dict[str, str],
    samples: Path,
    source: str,
    left_out: Counter,
    progress: Callable[[int], None] = lambda done: None,
) -> list[PromptGroup]:
    """Read the solutions and label each by its boxed answer; labels in the file do not count.

    Args:
        problems: gold answer by problem, as `read_problems` returns it.
        samples: a file of groups; a prompt is the text of its problem. Rows of one problem are
            put together.
        source: of the problems, which the groups name.
        progress: called with 1 for each problem.
    Raises:
        UserError: the file is bad, or none of its prompts is a problem.
    """
    groups: dict[str, PromptGroup] = {}
    for group in read_uncleaned(samples).values():  # equal samples are samples all the same
        problem = group.prompt.strip()
        if problem not in problems:
            left_out["sampled prompts that are none of the problems"] += 1
        elif problem in groups:  # one row a solution is fine too
            more = _graded(group, problems[problem]).responses
            groups[problem] = replace(groups[problem], responses=groups[problem].responses + more)
        else:
            groups[problem] = replace(_graded(group, problems[problem]), source=source)
            progress(1)
    if not groups:
        raise UserError(
            f"no prompt of the solutions in {samples} is one of the {len(problems):,} problems; "
            "give the problems' texts as prompts"
        )
    left_out["problems without a sampled solution"] += len(problems) - len(groups)
    return list(groups.values())


def graded_file(path: Path) -> list[PromptGroup]:
    """Read groups that have answers of their own, such as solutions of MATH500, and label them.

    Raises:
        UserError: the file is bad, or a row has no answer.
    """
    groups = []
    for number, group in read_uncleaned(path).items():
        if group.answer is None:
            raise UserError(f"{path}: row {number} has no 'answer' to grade by; add the right one")
        groups.append(_graded(group, group.answer))
    return groups


def _graded(group: PromptGroup, answer: str) -> PromptGroup:
    responses = tuple(
        replace(response, correct=grade_boxed(answer, response.text), score=None, pair=None)
        for response in group.responses
    )
    return replace(group, category="all", answer=answer, responses=responses)


def split_validation(
    groups: list[PromptGroup], share: float, seed: int
) -> tuple[list[PromptGroup], list[PromptGroup]]:
    """Return the groups to train on and those of validation: ``share`` of them, drawn by ``seed``.

    All solutions of a problem stay together.
    """
    count = min(max(round(share * len(groups)), 1), len(groups) - 1)
    drawn = set(random.Random(f"{seed}/prm800k").sample(range(len(groups)), count))
    train = [group for place, group in enumerate(groups) if place not in drawn]
    return train, [groups[place] for place in sorted(drawn)]
