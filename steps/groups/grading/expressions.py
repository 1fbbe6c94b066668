"""Reading and comparing single mathematical expressions.

math-verify parses; equality is decided here by exact evaluation at fixed positive integers.
math-verify's own comparison simplifies symbolically, which needs its signal-based timeouts (main
thread only) to be safe; evaluation needs none once oversized expressions are refused."""

import logging
import math
import re
from functools import lru_cache

import sympy
from math_verify import LatexExtractionConfig, parse

from steps.groups.grading.normalise import closing

# it warns once that timeouts are off, which is intended here
logging.getLogger("math_verify.parser").setLevel(logging.ERROR)

_FUNCTIONS = ("sqrt", "floor", "sum", "binom", "sin", "cos", "tan", "log", "ln", "frac", "pi")
_WORDS = set(
    [
        "an",
        "as",
        "at",
        "be",
        "by",
        "if",
        "in",
        "is",
        "it",
        "no",
        "of",
        "on",
        "or",
        "so",
        "to",
        "the",
        "and",
        "all",
        "any",
        "are",
        "for",
        "not",
        "odd",
    ]
)
_MAX_CHARACTERS, _MAX_POWER, _MAX_FACTORIAL = 200, 5000, 3000
_MAX_DIGITS = 4_000_000  # of a power of powers; evaluates in well under a second
# the columns are the values of the symbols in alphabetical order; both parities and both orders
# of any two symbols occur, for (-1)^n, floor(n/2) and binomials
_POINTS = ((5, 2, 3, 7, 4, 6), (2, 9, 4, 3, 6, 5), (9, 4, 2, 6, 5, 3), (3, 10, 5, 2, 4, 7))


def is_expression_text(text: str) -> bool:
    """Whether `text` looks like one expression: no ordinary words, no relation, no ellipsis."""
    if not text.strip() or len(text) > _MAX_CHARACTERS or re.search(r"[=<>≤≥≠?;\"'&:~]|\.\.", text):
        return False
    words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\\[A-Za-z]+", " ", text))
    products = [w for w in words if w not in _FUNCTIONS]
    return all(len(w) <= 3 and w.lower() not in _WORDS for w in products)


def _call_to_latex(text: str, name: str, template: str) -> str:
    """Rewrite each `name(body)` (not `\\name`) with `template`, whose `{}` stands for the body."""
    pattern = re.compile(rf"(?<![\\A-Za-z]){re.escape(name)}\s*\(")
    while match := pattern.search(text):
        start = match.end() - 1
        end = closing(text, start)
        if end < 0:
            return text
        text = (
            text[: match.start()]
            + template.replace("{}", text[start + 1 : end], 1)
            + (text[end + 1 :])
        )
    return text


def to_latex(text: str) -> str:
    """Calculator notation (`2^(n-1)`, `sqrt(3)`, `C(n, 4)`, `sum_(i=1)^n`) as LaTeX."""
    text = re.sub(r"(?<![\\A-Za-z])(?:C|binom)\(([^(),]+),([^(),]+)\)", r"\\binom{\1}{\2}", text)
    text = text.replace("⌊", "\\lfloor ").replace("⌋", "\\rfloor ")
    text = _call_to_latex(text, "floor", "\\lfloor {}\\rfloor ")
    text = _call_to_latex(text, "sqrt", "\\sqrt<{}>")
    for mark in "^_":
        while (start := text.find(mark + "(")) >= 0:
            end = closing(text, start + 1)
            if end < 0:
                break
            text = text[: start + 1] + "{" + text[start + 2 : end] + "}" + text[end + 1 :]
        text = re.sub(rf"\{mark}\s*(-?\d\d+|-\w)", rf"{mark}{{\1}}", text)
    text = text.replace("<", "{").replace(">", "}")
    text = re.sub(r"(?<![\\A-Za-z])(sum|sin|cos|tan|log|ln|pi)(?![a-z])", r"\\\1 ", text)
    return text.replace("*", "\\cdot ")


def _product_of_numbers(latex: str) -> int:
    return math.prod(max(1, int(n)) for n in re.findall(r"\d+", latex))


def _exponents(latex: str) -> list[str]:
    """The exponent of every power, braces removed."""
    found = []
    for match in re.finditer(r"\^\s*", latex):
        rest = latex[match.end() :]
        found.append(rest[1 : closing(rest, 0)] if rest.startswith("{") else rest[:1])
    return found


def _is_bounded(latex: str) -> bool:
    """Refuse what could take for ever to parse or evaluate: towers, huge powers, factorials,
    binomials and sums, deep nesting. The limits are far above any answer a person would check."""
    exponents = _exponents(latex)
    if re.search(r"\^\s*(?:\w+|\{[^{}]*\})\s*\^", latex):  # x^y^z: unbounded, and two readings
        return False
    if len(re.findall(r"[)}]\s*\^\s*\{?[a-z(]", latex)) > 2:
        return False
    if re.search(r"\d{40}|[({\[]{8}|!\s*[)}]*\s*!", latex):
        return False
    if any("!" in e or _product_of_numbers(e) > _MAX_POWER for e in exponents):
        return False
    if math.prod(_product_of_numbers(e) for e in exponents) > _MAX_DIGITS:
        return False
    # of the towers only 2^n and n^2 may stand in an exponent
    if any("^" in re.sub(r"\b2\^\{?[a-z]\}?|[a-z]\^\{?2\}?", "", e) for e in exponents):
        return False
    if re.search(r"[)}]\s*!", latex) and "^" in latex.split("!")[0].rpartition("(")[2]:
        return False
    small = _MAX_FACTORIAL if "!" in latex else 1000 if re.search("binom|sum", latex) else None
    if small is None:
        return True
    if "binom" in latex and re.search(r"binom\{[^{}]*\^", latex):
        return False
    outside_powers = re.sub(r"\d+\s*\^|\^\s*\{?\d+", "", latex)
    return all(int(n) <= small for n in re.findall(r"\d+", outside_powers))


@lru_cache(maxsize=50_000)
def parse_expression(text: str) -> sympy.Expr | None:
    """The expression written in `text`, or None when it cannot be read with confidence."""
    if not is_expression_text(text):
        return None
    # 1/2(n+1) and 1/2n have two readings; parsers choose one, writers mean either
    if re.search(r"/\s*(\d+\s*[A-Za-z(\\⌊]|[A-Za-z]\s*\()", text):
        return None
    latex = to_latex(text)
    if not _is_bounded(latex):
        return None
    config = LatexExtractionConfig()
    try:
        found = parse(f"${latex}$", [config], fallback_mode="no_fallback", parsing_timeout=None)
    except Exception:  # the generated parser leaks many exception types; all mean "unreadable"
        return None
    expression = found[0] if len(found) == 1 else None
    if not isinstance(expression, sympy.Expr) or expression.atoms(sympy.core.function.AppliedUndef):
        return None
    return expression


def _at(expression: sympy.Expr, symbols: list[sympy.Symbol], point: tuple[int, ...]):
    """The exact (when rational) or 30-digit value of `expression` at `point`; None if undefined."""
    try:
        value = expression.subs(dict(zip(symbols, point, strict=False))).doit()
        value = value if value.is_Rational else sympy.N(value, 30)
    except (TypeError, ValueError, ArithmeticError, AttributeError):
        return None
    return value if value.is_number and value.is_finite else None


@lru_cache(maxsize=100_000)
def same_value(gold: str, claim: str) -> bool | None:
    """Whether two expressions agree; None when one is unreadable, or a rounded decimal is near."""
    if gold.replace(" ", "") == claim.replace(" ", ""):
        return True
    a, b = parse_expression(gold), parse_expression(claim)
    if a is None or b is None:
        return None
    symbols = sorted(a.free_symbols | b.free_symbols, key=lambda s: s.name)
    if len(symbols) > len(_POINTS[0]):
        return None
    if a.is_infinite or b.is_infinite:
        return bool(a == b)
    informative = 0
    for point in _POINTS if symbols else _POINTS[:1]:
        x, y = _at(a, symbols, point), _at(b, symbols, point)
        if x is None or y is None:
            continue
        informative += 1
        if x.is_Rational and y.is_Rational and "." not in claim:
            if x != y:
                return False
            continue
        gap = float(abs(x - y)) / max(1.0, float(abs(x)))
        if gap > 1e-12:
            return None if gap < 0.02 and "." in claim else False
    return True if informative >= min(2, len(symbols) + 1) else None
