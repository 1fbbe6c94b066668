"""CHAMP: the package's JSON -> prompt groups.

Each of the 270 problems has one conversation per author model and condition. A conversation ends
with the model's solution, a request for a one-sentence summary, and the model's summary. The
solution is the response; its correctness is graded from the summary, since CHAMP has no labels.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from steps.errors import UserError
from steps.groups.schema import PromptGroup, Response
from steps.groups.splits import Problem

Grader = Callable[[str, str, str], bool | None]

# Texts of these conditions continue a solution that is not shown.
PARTIAL_SOLUTIONS = ("1/3 Soln", "2/3 Soln")
# Two answers of the package are wrong: the first contradicts the last line of its own solution;
# of the second's two claimed solutions, p=5, q=3 does not satisfy p^2-2q^2=1 (25-18=7).
CORRECTED_ANSWERS = {
    "P_Sequence_30": "The limit exists and is equal to (a+2b)/3",
    "P_Number-Theory_65": "p=3, q=2",
}


@dataclass
class _Solution:
    """A distinct solution text, with what its occurrences in the conversations tell of it."""

    model: str
    grades: set[bool] = field(default_factory=set)
    hinted: bool = True  # until an occurrence without hints is seen


def load_champ(path: Path) -> dict[str, Any]:
    """Read the raw JSON and return its problems by identifier.

    Raises:
        UserError: the file is missing, damaged or of another layout.
    """
    again = "delete it and run `python -m steps.download champ` again"
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is not there; run `python -m steps.download champ`") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not whole ({error}); {again}") from None
    problems = content.get("problems") if isinstance(content, dict) else None
    if not isinstance(problems, dict) or not problems or "hints" not in content:
        raise UserError(f"{path} is not CHAMP's v0.json (no 'problems' and 'hints'); {again}")
    hints = content["hints"]
    for name, problem in problems.items():
        try:
            ids = [key for key in problem["ch_list"] if key.startswith("H_")]
            problem["hints"] = {key: hints[key]["_text"] for key in ids}
        except (KeyError, TypeError, AttributeError) as error:
            raise _foreign(path, name, error) from None
    return problems


def champ_problems(problems: dict[str, Any]) -> list[Problem]:
    """Return what the split needs to know of each problem: its category, text and hints."""
    return [
        Problem(f"champ/{name}", p["category"], p["_text"], p["hints"])
        for name, p in problems.items()
    ]


def champ_groups(
    problems: dict[str, Any],
    grade: Grader,
    where: str = "CHAMP",
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[list[PromptGroup], Counter]:
    """Make one group per problem, all solutions included (hinted and ungraded ones too).

    Args:
        problems: what `load_champ` returned.
        grade: (problem, gold answer, summary) -> right, wrong or None for not confident.
        where: name of the file, for errors.
        progress: called with 1 after each problem.
    Returns:
        The groups in the file's order, and the counts of what was merged or left out.
    Raises:
        UserError: a problem is not laid out as CHAMP 1.0.0 lays it out.
    """
    groups, counts = [], Counter()
    for name, problem in problems.items():
        try:
            group = _group(name, problem, grade, counts)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise _foreign(where, name, error) from None
        if group.responses:
            groups.append(group)
        else:
            counts["problems without a whole solution"] += 1
        progress(1)
    return groups, counts


def _group(name: str, problem: dict, grade: Grader, counts: Counter) -> PromptGroup:
    prompt = problem["_text"]
    answer = CORRECTED_ANSWERS.get(name, problem["_answer"])
    solutions: dict[str, _Solution] = {}
    for key, conversation in problem["conversations"].items():
        model, condition = key.split("|")
        if condition in PARTIAL_SOLUTIONS:
            counts["continuations of a partial solution left out"] += 1
            continue
        messages = conversation["messages"]
        if any(message["error"] for message in messages):
            counts["solutions cut at the length limit left out"] += 1
            continue
        text, summary = _solution_and_summary(messages)
        if not text.strip():
            counts["empty solutions left out"] += 1
            continue
        if text in solutions:
            counts["identical solutions merged"] += 1
        solution = solutions.setdefault(text, _Solution(model))
        solution.hinted &= condition.endswith("w/ H")
        # A summary that cannot be graded says nothing against another of the same text.
        solution.grades |= {grade(prompt, answer, summary)} - {None}
    responses = [_response(text, solution, counts) for text, solution in solutions.items()]
    responses = _annotate(responses, problem["fws_annotations"], counts)
    return PromptGroup(
        f"champ/{name}", "champ", problem["category"], prompt, tuple(responses), answer
    )


def _solution_and_summary(messages: list[dict]) -> tuple[str, str]:
    solution, _, summary = messages[-3:]
    if not all(m["role"].startswith("Model.") for m in (solution, summary)):
        raise ValueError("a conversation does not end with a solution and its summary")
    return solution["text"], summary["text"]


def _response(text: str, solution: _Solution, counts: Counter) -> Response:
    counts["merged solutions graded both right and wrong"] += len(solution.grades) > 1
    correct = next(iter(solution.grades)) if len(solution.grades) == 1 else None
    return Response(text, correct, model=solution.model, hinted=solution.hinted)


def _annotate(responses: list[Response], annotations: dict, counts: Counter) -> list[Response]:
    """Attach each annotation to the response with the same text of the same model."""
    places = {(r.text, r.model): k for k, r in enumerate(responses)}
    for key, annotation in annotations.items():
        place = places.get((annotation["text"], key.split("|")[0]))
        if place is None:
            counts["annotations of solutions that were left out"] += 1
            continue
        if responses[place].annotated:
            counts["second annotations of a text ignored"] += 1
            continue
        counts["annotations attached"] += 1
        start, end = annotation["start_idx"], annotation["end_idx"]
        responses[place] = replace(
            responses[place], annotated=True, error_start=start, error_end=end
        )
    return responses


def _foreign(where: Path | str, name: str, error: Exception) -> UserError:
    return UserError(
        f"{where}: problem '{name}' is not laid out as in CHAMP 1.0.0 "
        f"({type(error).__name__}: {error}); delete the file and run "
        "`python -m steps.download champ` again"
    )
