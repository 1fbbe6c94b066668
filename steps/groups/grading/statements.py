"""Answers that are statements: yes or no, none exist, all of them, infinitely many."""

import re

from steps.groups.grading.normalise import number_words

_HEDGE = re.compile(
    r"\b(?:may|might|likely|unlikely|probably|unclear|unknown|not clear|undetermined|unable|"
    r"assum\w+|(?:cannot|not|difficult to|need to) (?:be )?(?:determined?|found|find|conclude)|"
    r"insufficient|not enough|further|more information|not sufficient|depends?|necessarily|"
    r"requires?|can be (?:determined|found|calculated|computed|approximated))\b",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"\b(?:no|not|cannot|never|none|neither|nor|impossible|nonexistent|without|\w+n't)\b"
    r"(?!-)", re.IGNORECASE
)  # fmt: skip
_REASON = re.compile(
    r",? \b(?:because|since|due to|but|however|although|for example|for instance|specifically|"
    r"such as|which|as demonstrated|as shown|namely|so|therefore|thus|if and only if)\b"
    r"|, (?:as|and (?:it|this|we|so|hence)|where|with|meaning|e\.g\.|i\.e\.)\b|;"
)
_COUNT_QUESTION = re.compile(r"\bhow (?:many|often)\b|\bnumber of\b", re.IGNORECASE)
_OPPOSITES = (
    ("greater", "less"), ("larger", "smaller"), ("prime", "composite"), ("finite", "infinite"),
)  # fmt: skip
# a denial or a universal claim with one of these is about a part of the range only
_LIMITED = re.compile(
    r"\b(?:other|except|besides|apart|(?:non-?)?trivial|distinct|specific|bounds?|limit (?:on|to)|"
    r"restrictions?|"
    r"(?:greater|larger|less|smaller) than)\b",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"^(?:(?:therefore|thus|hence|so),? )?(?:none\b|no\b(?!,))"
    r"|\bthere (?:is|are|exists?) (?:no|0)\b(?! more)|\bat most 0\b"
    # in `strings that have no ...` the denial is part of the description
    r"|(?<!that )(?<!which )(?<!to )\b(?:has|have|contains?) (?:no|0)\b(?! more)"
    r"|(?<!that )(?<!which )\b(?:does|do|can|could|may) ?not (?:exist|have|contain|"
    r"be (?:constructed|found|any))\b"
    r"|\b(?:not possible|impossible|(?:is|are) none|never exists?)\b|\bcan ?not exist\b",
    re.IGNORECASE,
)
_ALL_GOLD = re.compile(r"\(i\.e\.,? all(?: of them| values| numbers)?\)")
_ALL = re.compile(
    r"(?:^|\b(?:for|by|that) )(?:all|every|each|any)\b (?:of )?(?:the )?(?:\d+ )?"
    r"(?:possible |positive )*(?:values?|integers?|numbers?|natural|\w\b|elements?|of them)",
    re.IGNORECASE,
)
_INFINITE = re.compile(r"\binfinite(?:ly many| number| set)?\b", re.IGNORECASE)


def asks_count(problem: str) -> bool:
    """Whether the problem asks how many there are."""
    return bool(_COUNT_QUESTION.search(problem))


def is_hedged(text: str) -> bool:
    """Whether the text leaves its own answer open."""
    return bool(_HEDGE.search(text))


def without_remarks(text: str) -> str:
    """`text` without remarks inserted between subject and verb (`x, which is prime, is ...`)."""
    verb = r"(?=\s+(?:is|are|can|cannot|has|have|does|do|must|equals)\b)"
    return re.sub(r", (?:with|where|which|given|when)\b[^;]*?," + verb, "", text)


def main_clause(text: str) -> str:
    """The assertion without its reasons and examples; empty when the reason comes first."""
    return _REASON.split(without_remarks(text), maxsplit=1)[0]


def _is_limited(problem: str, clause: str) -> bool:
    """Whether the clause speaks of a part of the range that the problem does not mention."""
    return any(match[0] not in problem for match in _LIMITED.finditer(clause))


def denies(problem: str, text: str) -> bool:
    """Whether the main clause says outright that nothing of the kind asked for exists."""
    clause = re.split(r",? \bgiven\b", main_clause(number_words(text)), maxsplit=1)[0]
    # `f(x)=x has no real solutions` may be the problem's own hypothesis
    new = [m for m in _DENIAL.finditer(clause) if clause[m.start() : m.end() + 5] not in problem]
    return bool(new) and not _is_limited(problem, clause)


def asserts_infinitely_many(text: str) -> bool:
    """Whether the main clause claims infinitely many (and is not negated)."""
    clause = main_clause(text)
    return bool(_INFINITE.search(clause)) and not _NEGATION.search(clause)


def gold_means_all(gold: str) -> bool:
    """Whether the gold count says in brackets that it is the whole range."""
    return bool(_ALL_GOLD.search(gold))


def asserts_all(problem: str, text: str) -> bool:
    """Whether the main clause claims every value of the problem's range, naming no other range."""
    clause = main_clause(text)
    numbers = set(re.findall(r"\d+", clause))
    return (
        bool(_ALL.search(clause))
        and not _NEGATION.search(clause)
        and not _is_limited(problem, clause)
        and all(count in problem for count in re.findall(r"\bat (?:least|most) \w+", clause))
        and numbers <= set(re.findall(r"\d+", problem))
    )


def _content(text: str) -> set[str]:
    """Stems (first five letters) of the words that carry a statement's meaning."""
    skip = {"there", "their", "value", "possi", "exist", "given", "posit"}
    return {w[:5] for w in re.findall(r"[a-z]{4,}", text.lower())} - skip


def _polarity(question: str, clause: str) -> bool | None:
    """Whether a declarative clause affirms (True) or denies (False) the question."""
    if re.search(r"\btrivial\b", clause):
        return None
    negations = len(_NEGATION.findall(clause))
    if re.search("≠|non-?zero", question) or _NEGATION.search(question) or negations > 1:
        return None
    if re.search(r"\bnot (?:always|all|every|each|any)\b", clause) and "always" not in question:
        return None
    asked = _content(question)
    if not asked or len(asked & _content(clause)) < 0.5 * len(asked):
        return None
    affirms = negations == 0
    for one, other in (*_OPPOSITES, *(pair[::-1] for pair in _OPPOSITES)):
        has = [bool(re.search(rf"\b{w}", t)) for t in (question, clause) for w in (one, other)]
        if has == [True, False, False, True]:
            affirms = not affirms
    return affirms


def yes_or_no(problem: str, text: str) -> bool | None:
    """The answer `text` gives to the question ending `problem`: True yes, False no, None unsure."""
    clause = main_clause(text)
    lead = re.match(r"(?:the answer is\s+)?(yes|no)(?:[,.:;]|$)", text, re.IGNORECASE)
    if lead:
        said_yes = lead[1].lower() == "yes"
        rest = main_clause(text[lead.end() :].lstrip())
        # `yes, there are no ...` contradicts itself or affirms a negative question
        return None if said_yes and _NEGATION.search(rest) else said_yes
    questions = [q for q in re.split(r"(?<=[.?])\s+", problem) if q.endswith("?")]
    return _polarity(questions[-1], clause) if questions else None
