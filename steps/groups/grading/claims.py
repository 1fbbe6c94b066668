"""Finding the values a sentence claims: `There are 29 strings ...`, `The minimum is 3, if ...`."""

import re
from functools import lru_cache

from steps.groups.grading.expressions import is_expression_text
from steps.groups.grading.normalise import number_words
from steps.groups.grading.statements import asks_count, without_remarks
from steps.groups.grading.values import Solution, read_solutions

_VERB = re.compile(
    r"(?<![\\\w])(?:is|are|be|equals?|gives|interval|has|have|:|"
    r"(?:written|expressed|factors?|\w+i[sz]e[sd]|factored) (?:as|into))\s+(?=\S)",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"^(?:(?:always|only|also|exactly|equal to|congruent to|given by|simply|"
    r"just|precisely|either|both|all|approximately|about|therefore|thus|the number|a total of|"
    r"the (?:0 |constant )?(?:polynomial|function)|in|within|the (?:closed )?interval|"
    r"\w (?:∈|\\in)|"
    r"the set|the pairs?|the values?|the product)\b[,:]?\s*)+",
    re.IGNORECASE,
)
# everything after one of these only says when, where or why the value is taken
_TAIL = re.compile(
    r"\s*,?\s*(?<![\\\w])(?:which|where|when|whenever|because|since|as|achieved|attained|"
    r"occurring|obtained|given|if|for|with|and (?:it|this|is|occurs|they|the)|that|but|so|in|on|at|"
    r"meaning|while|such|using|by|under|i\.e\.|regardless|independent|has|have)"
    r"(?![\w(]).*"
)
# reasons and circumstances, which may contain values of their own
_REMARK = re.compile(
    r",? \b(?:because|since|due to|but|however|although|as shown|which (?:is|are|occurs?|happens?)|"
    r"and (?:this|it) (?:is|occurs)|achieved|attained|occurring|obtained)\b|, (?:as|when|so)\b|;"
)
_UNSAFE_TAIL = re.compile(
    r"\b(?:otherwise|except|excluding|besides|other than|respectively|depending|vice versa|"
    r"permutations?|unless|plus|minus|and so on|more than|less than|fewer than)\b"
)
_COUNT_OPENING = re.compile(
    r"^(?:(?:therefore|thus|so|hence),?\s+)?(?:for|in|there (?:is|are|exists?|must be|can be)|"
    r"(?:at least|at most|only|exactly|a total of|no more than)\b,?|(?=[\d(]))\s*"
    r"(?:(?:at least|at most|only|exactly|a total of|always|the)\b\s*)*",
    re.IGNORECASE,
)
_NOT_A_UNIT = set(
    [
        "and",
        "or",
        "times",
        "to",
        "less",
        "more",
        "over",
        "plus",
        "minus",
        "divided",
        "if",
        "when",
        "odd",
        "even",
        "mod",
    ]
)

_COUNT_INSIDE = re.compile(r"\bthere (?:is|are|exists?)\s+(?:(?:only|exactly|a total of)\s+)*")
# `at most one` inside a sentence is the answer only to the question `at most how many`
_BOUND_INSIDE = re.compile(r"\b(?:at least|at most|have|has)\s+(?:(?:at least|at most|only)\s+)*")
_BOUND_QUESTION = re.compile(
    r"\bat (?:least|most),? how many|\bm(?:ax|in)imum number", re.IGNORECASE
)


def first_sentence(text: str) -> str:
    """`text` up to the first full stop that ends a sentence."""
    return re.split(r"(?<=[^.])\.\s+(?=[A-Z])", text, maxsplit=1)[0]


def _counted(text: str) -> str | None:
    """The `29` of `29 valid strings ...`: an expression followed by a plain plural or unit."""
    match = re.match(r"(.*?\S)\s+(of|[a-z][a-z-]{2,})\b", text)
    if (
        not match
        or match[1] == "a"
        or match[2] in _NOT_A_UNIT
        or not is_expression_text(match[1].split("=")[-1])
    ):
        return None
    return match[1]


def _restates(problem: str, phrase: str) -> bool:
    """Whether the problem itself already says `phrase`, so that it is no answer."""
    return re.sub(r"\s", "", phrase) in re.sub(r"\s", "", problem)


def _verb_candidates(sentence: str, problem: str, may_count: bool) -> list[tuple[Solution, ...]]:
    """Readings of what follows each verb, and of what precedes the first one (`3 is the ...`)."""
    found = []
    for match in _VERB.finditer(sentence):
        region = _FILLER.sub("", sentence[match.end() :])
        region = _TAIL.sub("", region, count=1)
        if not region or _restates(problem, sentence[match.start() : match.end()] + region):
            continue
        unit = _counted(region) if may_count else None
        found.append(read_solutions(region) or (read_solutions(unit) if unit else None))
    first = _VERB.search(sentence)
    if first and re.match(r"the\b|a possible", sentence[first.end() :]):
        found.append(read_solutions(_FILLER.sub("", sentence[: first.start()])))
    return [solutions for solutions in found if solutions]


def _equation(sentence: str) -> tuple[Solution, ...] | None:
    """A sentence that is itself a list of values or ends in `... = value, where ...`."""
    body = _TAIL.sub("", sentence, count=1)
    left = re.sub(r"\bmod(?:ulo)?\b|\.\.\.", "", body.rpartition("=")[0]) or "0"
    is_mathematics = all(is_expression_text(part) for part in re.split("[=,]| and ", left) if part)
    return read_solutions(body) if is_mathematics else None


def _is_partial(problem: str, sentence: str) -> bool:
    """Whether the sentence qualifies its value in a way that the problem does not ask for."""
    if any(match[0] not in problem for match in _UNSAFE_TAIL.finditer(sentence)):
        return True
    parity = re.findall(r"\b(?:if|when|for) [^,]*?\b(odd|even)\b", sentence)
    return any(word not in problem for word in parity)


@lru_cache(maxsize=50_000)
def claimed_solutions(problem: str, text: str) -> tuple[Solution, ...] | None:
    """The solutions `text` (normalised) claims for `problem`, or None when unsure.

    A sentence with two different readable values is ambiguous, hence None."""
    sentence = without_remarks(number_words(first_sentence(text)))
    if _is_partial(problem, sentence):
        return None
    assertion = _REMARK.split(sentence, maxsplit=1)[0]
    may_count = asks_count(problem)
    if may_count:
        inside = _BOUND_INSIDE if _BOUND_QUESTION.search(problem) else _COUNT_INSIDE
        for opening in (_COUNT_OPENING.match(assertion), inside.search(assertion)):
            counted = _counted(assertion[opening.end() :]) if opening else None
            if counted and (solutions := read_solutions(counted)):
                return solutions
    candidates = _verb_candidates(assertion, problem, may_count)
    if not candidates:
        return _equation(assertion)
    return candidates[0] if len(set(candidates)) == 1 else None
