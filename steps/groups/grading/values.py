"""Lists of solutions: `x = 1, 2 and 3`, `x=0, y=2 and x=9, y=11`, `(1, 2), (2, 1)`, `±1`."""

import re
from functools import lru_cache

from steps.groups.grading.expressions import parse_expression, same_value

Solution = tuple[str, ...]
"""One solution: a single expression, or its coordinates in alphabetical order of the names."""

_BRACKETS = ("[(", "[[", ")]", "]]")
_MAX_LIST = 600
_NAME = r"[A-Za-z](?:_\w+)?(?:\([A-Za-z](?:, ?[A-Za-z])*\))?"


def split_top_level(text: str, separators: str) -> list[str]:
    """Split at the regular expression `separators` outside all brackets."""
    parts, depth, start, i = [], 0, 0, 0
    pattern = re.compile(separators)
    while i < len(text):
        depth += (text[i] in "([{⌊") - (text[i] in ")]}⌋")
        match = pattern.match(text, i) if depth == 0 else None
        if match:
            parts.append(text[start : match.start()])
            start = i = match.end()
        else:
            i += 1
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def _items(text: str) -> list[str]:
    return split_top_level(text, r"(?:\s*[,;])?\s+(?:and|or|&)\s+|\s*[,;]\s*")


def _plus_minus(text: str) -> list[str] | None:
    """Both values of `1±x`; None for several signs, which may be linked or independent."""
    if text.count("±") > 1:
        return None
    return list(dict.fromkeys(text.replace("±", sign).lstrip("+") for sign in "+-"))


def _interval(body: str, ends: list[str]) -> Solution | None:
    """The interval as a solution with its two brackets as first and last coordinate."""
    return (f"[{body[0]}", *ends, f"{body[-1]}]") if len(ends) == 2 else None


def _tuple(text: str) -> Solution | None:
    """Coordinates of `(1, 2)`, `(x, y) = (1, 2)`, `(x=1, y=2)`; interval ends keep brackets."""
    left = re.match(r"\(([^=()]*)\)\s*=\s*", text)
    body = text[left.end() :] if left else text
    if not re.fullmatch(r"[\[(].*[\])]", body):
        return None
    parts = split_top_level(body[1:-1], r"\s*,\s*")
    if len(parts) < 2:
        return None
    if body[0] == "[" or body[-1] == "]":
        return _interval(body, parts)
    keys = [name.strip() for name in left[1].split(",")] if left else []
    if all("=" in part for part in parts):
        keys, parts = zip(*([s.strip() for s in p.split("=", 1)] for p in parts), strict=True)
    if not keys:
        return tuple(parts)
    if len(keys) != len(parts):
        return None
    return tuple(value for _, value in sorted(zip(keys, parts, strict=True)))


def _assignment(item: str) -> tuple[list[str], str]:
    """Names and value of `x = y = 0` (both names), of `n! = 24` (no name) or of `7` (no name)."""
    *left, value = [part.strip() for part in item.split("=")]
    return [name for name in left if re.fullmatch(_NAME, name)], value


def _named_solutions(pairs: list[tuple[list[str], str]]) -> list[Solution] | None:
    """Group assignments into solutions: a repeated name opens the next solution."""
    solutions, current = [], {}
    for names, value in pairs:
        if any(name in current for name in names):
            solutions.append(current)
            current = {}
        current.update(dict.fromkeys(names, value))
    solutions.append(current)
    if any(solution.keys() != solutions[0].keys() for solution in solutions):
        return None
    return [tuple(value for _, value in sorted(s.items())) for s in solutions]


def _scalars(pairs: list[tuple[list[str], str]]) -> list[Solution] | None:
    expanded = [_plus_minus(value) for _, value in pairs]
    return None if None in expanded else [(value,) for values in expanded for value in values]


def _is_readable(part: str) -> bool:
    """Whether a coordinate can be compared: a bracket, an expression, or a product with `...`,
    which is at least comparable as text."""
    return part in _BRACKETS or "..." in part or parse_expression(part) is not None


@lru_cache(maxsize=50_000)
def read_solutions(text: str) -> tuple[Solution, ...] | None:
    """All solutions listed in `text`, or None unless every part of it is understood."""
    text = re.sub(r"\s*\(?\bmod(?:ulo)?\s+[\w()^]+\)?", "", text.strip().rstrip(".,"))
    if re.fullmatch(r"\{[^{}]*\}", text):
        text = text[1:-1]
    items = _items(text)
    if not items or len(text) > _MAX_LIST:
        return None
    solutions = [_tuple(item) for item in items]
    if None in solutions:
        pairs = [_assignment(item) for item in items]
        if len({name for names, _ in pairs for name in names}) <= 1:
            solutions = _scalars(pairs)
        else:
            solutions = _named_solutions(pairs) if all(names for names, _ in pairs) else None
    if not solutions or not all(_is_readable(part) for s in solutions for part in s):
        return None
    return tuple(solutions)


def _same_part(gold: str, claim: str) -> bool | None:
    return gold == claim if gold in _BRACKETS else same_value(gold, claim)


def _same_solution(gold: Solution, claim: Solution) -> bool | None:
    """Whether two solutions agree in every coordinate."""
    verdicts = [_same_part(a, b) for a, b in zip(gold, claim, strict=True)]
    return False if False in verdicts else None if None in verdicts else True


def same_solutions(gold: tuple[Solution, ...], claim: tuple[Solution, ...]) -> bool | None:
    """Whether two lists are equal as sets; None when they have different shapes."""
    if len(gold) == 1 and len(gold[0]) == len(claim) > 1 and len(claim[0]) == 1:
        # `a and b are 3 and -4` for a=3, b=-4: right in this order, otherwise unsure
        return _same_solution(gold[0], tuple(part for (part,) in claim)) or None
    if gold[0][0][0] == "[" and len(claim) == 1 and len(claim[0]) == 2:
        claim = (("[(", *claim[0], ")]"),)  # an open interval looks like a pair
    if {len(s) for s in gold} != {len(s) for s in claim}:
        return None
    table = [[_same_solution(g, c) for c in claim] for g in gold]
    lines = [*table, *zip(*table, strict=True)]
    if all(True in line for line in lines):
        return True
    return False if any(all(v is False for v in line) for line in lines) else None
