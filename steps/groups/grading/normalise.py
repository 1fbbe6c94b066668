"""One plain spelling for mathematical prose: LaTeX mark-up and unicode signs are rewritten so that
the later rules meet `x^2`, `sqrt(2)`, `<=`-free words and digits, whatever the writer used."""

import re
from functools import lru_cache

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿᵏᵐ", "0123456789+-()nkm")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SIGNS = {
    "−": "-", "–": "-", "—": " - ", "×": "*", "·": "*", "⋅": "*", "≡": "=", "π": r"\pi ",
    "∞": r"\infty ", "∑": r"\sum ", "…": "...", "⋯": "...", "’": "'", "“": '"', "”": '"',
    "\\cdots": "...", "\\ldots": "...", "\\dots": "...", "\\cdot": "*", "\\times": "*",
    "\\pm": "±", "\\equiv": "=", "\\leq": "≤", "\\le ": "≤", "\\geq": "≥", "\\ge ": "≥",
    "\\neq": "≠", "\\dfrac": "\\frac", "\\tfrac": "\\frac", "\\left": "", "\\right": "",
    "\\lfloor": "⌊", "\\rfloor": "⌋", "\\bmod": " mod ", "\\mod": " mod ", "\\{": "{",
    "\\}": "}", "\\(": "", "\\)": "", "\\[": "", "\\]": "", "\\,": " ", "\\;": " ", "\\!": "",
    "\\ ": " ", "\\quad": " ", "\\%": "%", "$": "",
}  # fmt: skip
_NUMBER_WORDS = {
    word: str(value)
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ]
    )
}


def closing(text: str, start: int) -> int:
    """Index of the bracket closing the one at `start`, or -1 when it is never closed."""
    pairs = {"(": ")", "{": "}", "[": "]"}
    opener, closer, depth = text[start], pairs[text[start]], 0
    for i in range(start, len(text)):
        depth += (text[i] == opener) - (text[i] == closer)
        if depth == 0:
            return i
    return -1


def _unwrap(text: str, command: str) -> str:
    """Replace `command{body}` by `body`, innermost spelling kept (for \\boxed, \\text, ...)."""
    head = command + "{"
    while (start := text.find(head)) >= 0:
        brace = start + len(head) - 1
        end = closing(text, brace)
        if end < 0:
            return text.replace(head, "", 1)
        text = text[:start] + " " + text[brace + 1 : end] + " " + text[end + 1 :]
    return text


@lru_cache(maxsize=50_000)
def normalise(text: str) -> str:
    """`text` without LaTeX delimiters, unicode operators or grouping commas, on one line."""
    text = re.sub(r"√\s*(\w+|\([^()]*\))", r"sqrt(\1)", text)
    text = re.sub(r"[⁰¹²³⁴-⁹⁺⁻⁽⁾ⁿᵏᵐ]+", lambda m: f"^({m[0].translate(_SUPERSCRIPTS)})", text)
    text = re.sub(r"[₀-₉]+", lambda m: "_" + m[0].translate(_SUBSCRIPTS), text)
    for command in (r"\boxed", r"\text", r"\mathrm", r"\mathbf", r"\mathbb", r"\operatorname"):
        text = _unwrap(text, command)
    text = re.sub(r"\\pmod\s*\{?(\w+)\}?", r" mod \1", text)
    for sign in sorted(_SIGNS, key=len, reverse=True):  # longest first: \left before \le
        text = text.replace(sign, _SIGNS[sign])
    text = re.sub(r"(?<=[\w)])\*\*(?=[\w(])", "^", text).replace("**", "")
    text = re.sub(r"(\w|\([^()]*\)) factorial\b", r"\1!", text)
    text = re.sub(r"\bnegative infinity\b", r"-\\infty", text)
    text = re.sub(r"\b(?:positive )?infinity\b", r"\\infty", text)
    # 12,345 is one number; (1,234) may be a pair, so an opening bracket before it is left alone
    text = re.sub(
        r"(?<![\d.,({])\d{1,3}(?:,\d{3})+(?![\d,])", lambda m: m[0].replace(",", ""), text
    )
    return re.sub(r"\s+", " ", text).strip().rstrip(".").strip()


def number_words(text: str) -> str:
    """Spell the number words zero to twelve as digits."""
    pattern = r"\b(" + "|".join(_NUMBER_WORDS) + r")\b"
    return re.sub(pattern, lambda m: _NUMBER_WORDS[m[0].lower()], text, flags=re.IGNORECASE)
