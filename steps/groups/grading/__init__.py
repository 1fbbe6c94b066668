"""An abstaining grader of final answers for competition mathematics.

`grade_answer` works from the problem, the reference answer and the solution's closing sentence
alone. It answers only when it reads both answers completely; a reading that leaves words or
alternatives over is an abstention, since a wrong label costs the data more than a missing one."""

import re
from functools import lru_cache

from steps.groups.grading.claims import claimed_solutions, first_sentence
from steps.groups.grading.expressions import parse_expression
from steps.groups.grading.normalise import normalise
from steps.groups.grading.statements import (
    asks_count,
    asserts_all,
    asserts_infinitely_many,
    denies,
    gold_means_all,
    is_hedged,
    yes_or_no,
)
from steps.groups.grading.values import Solution, read_solutions, same_solutions

__all__ = ["grade_answer"]

_MAX_SUMMARY = 1500
# what a gold answer says again in other words
_GLOSS = re.compile(
    r"\s*\((?:i\.e\.|no |none ).*\)$|,? or (?:equivalently|approximately|an equ).*$"
)


@lru_cache(maxsize=50_000)
def grade_answer(problem: str, gold: str, summary: str) -> bool | None:
    """Grade the final answer stated in `summary`: True right, False wrong, None not confident.

    `gold` is the reference answer as people write it (`Yes`, `x=1, y=2`, `98 values`, `n/(n-1)`,
    `0 (i.e., no such values)`). Deterministic, no timers, safe on any thread."""
    problem, gold, text = normalise(problem), normalise(gold), first_sentence(normalise(summary))
    if not text or len(summary) > _MAX_SUMMARY or is_hedged(text):
        return None
    if re.fullmatch(r"yes|no", gold, re.IGNORECASE):
        answer = yes_or_no(problem, text)
        return None if answer is None else answer == (gold.lower() == "yes")
    if lead := re.match(r"(yes|no),", gold, re.IGNORECASE):  # the rest of such a gold is not read
        return False if yes_or_no(problem, text) == (lead[1].lower() == "no") else None
    if asserts_infinitely_many(gold):
        return _grade_infinite(problem, text)
    bare = _GLOSS.sub("", gold)
    again = gold.rpartition(" or equivalently ")[2]
    expected = (
        read_solutions(bare)
        or read_solutions(again)
        or claimed_solutions(problem + " How many?", bare)
    )
    if expected is None:
        return _grade_none(problem, text) if denies("", gold) else None
    return _grade_solutions(problem, gold, expected, text)


def _grade_infinite(problem: str, text: str) -> bool | None:
    if asserts_infinitely_many(text):
        return True
    return False if denies(problem, text) or claimed_solutions(problem, text) else None


def _grade_none(problem: str, text: str) -> bool | None:
    """The gold says that nothing exists: a denial is right, any value or existence is wrong."""
    if denies(problem, text):
        return True
    if re.search(r"\b(?:no|not|cannot|none|never|impossible)\b", text):
        return None
    exists = re.search(
        r"\bonly\b.*\b(?:is|are)\b|\bthere (?:is|are|exists?)\b|\bexists\b|\bis possible\b"
        r"|\bof the form\b|\binfinite",
        text,
    )
    return False if exists or claimed_solutions(problem, text) else None


def _grade_solutions(
    problem: str, gold: str, expected: tuple[Solution, ...], text: str
) -> bool | None:
    """The gold is a value or a list of solutions."""
    if denies(problem, text):
        zero = expected == (("0",),)
        return asks_count(problem) or None if zero else False
    if asserts_infinitely_many(text):
        return False
    claimed = claimed_solutions(problem, text)
    if claimed is None and asks_count(problem) and asserts_all(problem, text):
        # a gold that is the whole range without saying so would repeat a number of the problem
        return True if gold_means_all(gold) else None if expected[0][0] in problem else False
    if claimed is None or not _symbols(claimed) <= _symbols(expected) | _letters(problem):
        return None
    verdict = same_solutions(expected, claimed)
    if verdict and "actoriz" in problem and _factors(expected) != _factors(claimed):
        return None  # equal, but perhaps not factorised completely
    return verdict


def _symbols(solutions: tuple[Solution, ...]) -> set[str]:
    """Names of the free symbols of all readable parts."""
    parsed = [parse_expression(part) for solution in solutions for part in solution]
    return {symbol.name for e in parsed if e is not None for symbol in e.free_symbols}


def _letters(problem: str) -> set[str]:
    """Single letters that the problem uses as names, alone or in a product such as `abc`."""
    return set("".join(re.findall(r"(?<![A-Za-z])[A-Za-z]{1,3}(?![A-Za-z])", problem)))


def _factors(solutions: tuple[Solution, ...]) -> list[int]:
    """Number of symbolic factors of each expression, with multiplicity."""
    counts = []
    for part, *_ in solutions:
        expression = parse_expression(part)
        factors = [] if expression is None else expression.as_ordered_factors()
        powers = [factor.as_base_exp() for factor in factors]
        counts.append(sum(int(e) if e.is_Integer else 1 for b, e in powers if b.free_symbols))
    return counts
