"""The leak report: what the training set and the evaluation sets have in common."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from steps.config.schema import ANNOTATED_SET
from steps.errors import UserError
from steps.groups.schema import PromptGroup
from steps.groups.splits import NEAR_DUPLICATE, mask_numbers, normalise, similarity

# Comparing all pairs takes time in proportion to the product of both sets' characters. Beyond
# this (some ten seconds), only prompts that are equal but for their numbers count as near.
MAX_CHARACTER_PAIRS = 500_000_000
SHOWN = 20  # pairs of groups that the report lists
NAMED = 3  # pairs of groups that an error names


@dataclass
class Pairs:
    """Pairs of groups of two sets, which may be as many as the product of both.

    Attributes:
        count: of the pairs.
        shown: ids of the first `SHOWN` of them.
        groups: ids of the groups of the first set that are in any.
    """

    count: int = 0
    shown: list[tuple[str, str]] = field(default_factory=list)
    groups: set[str] = field(default_factory=set)

    def add(self, group_id: str, others: list[str]) -> None:
        """Take the pairs of one group of the first set."""
        if others:
            self.count += len(others)
            self.shown += [(group_id, other) for other in others[: SHOWN - len(self.shown)]]
            self.groups.add(group_id)

    def described(self) -> dict[str, Any]:
        """Return what the report says of them."""
        return {"count": self.count, "groups": [list(pair) for pair in self.shown]}


@dataclass(frozen=True)
class Matches:
    """The prompts that two sets share; an equal pair is not among the near ones too."""

    equal: Pairs
    near: Pairs
    search: str  # how near-duplicates were looked for
    best: dict[str, Any] | None  # the most similar pair; None where none was looked for


def leak_report(sets: dict[str, list[PromptGroup]]) -> dict[str, Any]:
    """Compare train with each evaluation set, and the evaluation sets with each other.

    Args:
        sets: groups by set name, 'train' among them.
    Returns:
        The report, ready for JSON: one entry per two sets.
    """
    report = []
    for first, second in combinations(sets, 2):
        # The annotated set is made of held-out problems on purpose: compared with train only.
        if ANNOTATED_SET in (first, second) and "train" not in (first, second):
            continue
        facts = compare_sets(sets[first], sets[second])
        report.append({"sets": [first, second], **facts})
    return {"near_duplicate_threshold": NEAR_DUPLICATE, "comparisons": report}


def refuse_leaks(report: dict[str, Any], refuse_near: bool, place: Path) -> None:
    """Refuse sets that share a prompt.

    Args:
        report: of `leak_report`.
        refuse_near: near-duplicate prompts are an error too, not only reported.
        place: where the report can be read.
    Raises:
        UserError: with the number of pairs of groups, and the first of them.
    """
    _refuse(report, "equal_prompts", "the same prompt", place)
    if refuse_near:
        _refuse(report, "near_duplicate_prompts", "near-duplicate prompts", place)


def _refuse(report: dict[str, Any], kind: str, what: str, place: Path) -> None:
    comparisons = report["comparisons"]
    count = sum(entry[kind]["count"] for entry in comparisons)
    if not count:
        return
    named = [
        f"'{a}' ({entry['sets'][0]}) and '{b}' ({entry['sets'][1]})"
        for entry in comparisons
        for a, b in entry[kind]["groups"]
    ]
    shown = ", ".join(named[:NAMED]) + (", ..." if count > NAMED else "")
    raise UserError(
        f"{count:,} {'pair' if count == 1 else 'pairs'} of groups in different sets have {what}: "
        f"{shown}; remove one of each two or put both in one set (see {place})"
    )


def drop_shared_prompts(sets: dict[str, list[PromptGroup]]) -> dict[str, int]:
    """Take the groups whose prompts 'train' has too out of the other sets; return how many."""
    known = {_digest(group.prompt) for group in sets["train"]}
    dropped = {}
    for name in [name for name in sets if name != "train"]:
        kept = [group for group in sets[name] if _digest(group.prompt) not in known]
        dropped[name] = len(sets[name]) - len(kept)
        sets[name] = kept
    return dropped


def drop_matching_prompts(
    groups: list[PromptGroup], others: dict[str, list[PromptGroup]], drop_near: bool
) -> tuple[list[PromptGroup], dict[str, Any]]:
    """Take out the groups whose prompts equal, or are near-duplicates of, a prompt of ``others``.

    Args:
        others: evaluation groups by set name.
        drop_near: near-duplicates go too, and are not only reported.
    Returns:
        The groups left, and the report, ready for JSON.
    """
    equal: set[str] = set()
    near: set[str] = set()
    comparisons = []
    for name, second in others.items():
        matches = match_prompts(groups, second)
        equal |= matches.equal.groups
        near |= matches.near.groups if drop_near else set()
        comparisons.append({"set": name, **_described(matches)})
    return [group for group in groups if group.group_id not in equal | near], {
        "near_duplicate_threshold": NEAR_DUPLICATE,
        "prompts": len(groups),
        "dropped": {
            "equal_prompts": sorted(equal),
            "near_duplicate_prompts": sorted(near - equal),
        },
        "comparisons": comparisons,
    }


def compare_sets(first: list[PromptGroup], second: list[PromptGroup]) -> dict[str, Any]:
    """Return the shared prompts of two sets, see `match_prompts`, and the shared responses."""
    texts = {_digest(r.text) for group in first for r in group.responses}
    others = {_digest(r.text) for group in second for r in group.responses}
    return {**_described(match_prompts(first, second)), "shared_responses": len(texts & others)}


def match_prompts(first: list[PromptGroup], second: list[PromptGroup]) -> Matches:
    """Find the equal and the near-duplicate prompts of two sets.

    Prompts are equal up to case and white space; near-duplicates are more similar than
    `NEAR_DUPLICATE` once their numbers are masked.
    """
    searched = _characters(first) * _characters(second) <= MAX_CHARACTER_PAIRS
    same = _SameKey(second, normalise)
    alike = _Similar(second) if searched else _SameKey(second, mask_numbers)
    equal, near = Pairs(), Pairs()
    for group in first:
        own, others = same.of(group), alike.of(group)
        equal.add(group.group_id, own)
        if own:
            known = set(own)
            others = [other for other in others if other not in known]
        near.add(group.group_id, others)
    if isinstance(alike, _Similar):
        return Matches(equal, near, "by similarity", alike.most_similar())
    return Matches(equal, near, "equal but for numbers", None)


def _described(matches: Matches) -> dict[str, Any]:
    return {
        "equal_prompts": matches.equal.described(),
        "near_duplicate_prompts": matches.near.described(),
        "near_duplicate_search": matches.search,
        "highest_similarity": matches.best,
    }


class _SameKey:
    """Finds the groups whose prompts have the same key."""

    def __init__(self, groups: list[PromptGroup], key: Callable[[str], str]):
        self._key = key
        self._ids: dict[str, list[str]] = {}
        for group in groups:
            self._ids.setdefault(key(group.prompt), []).append(group.group_id)

    def of(self, group: PromptGroup) -> list[str]:
        """Return the ids of the groups like this one."""
        return self._ids.get(self._key(group.prompt), [])


class _Similar:
    """Finds near-duplicates, and the most similar pair of all; time is quadratic."""

    def __init__(self, groups: list[PromptGroup]):
        self._texts = [(group.group_id, mask_numbers(group.prompt)) for group in groups]
        self._best: tuple[float, list[str] | None] = 0.0, None

    def of(self, group: PromptGroup) -> list[str]:
        """Return the ids of the groups like this one."""
        text, near = mask_numbers(group.prompt), []
        for other, other_text in self._texts:
            # Only what beats the best so far, or counts as near, is worth the full comparison.
            value = similarity(text, other_text, min(self._best[0], NEAR_DUPLICATE))
            if value > NEAR_DUPLICATE:
                near.append(other)
            if value > self._best[0]:
                self._best = value, [group.group_id, other]
        return near

    def most_similar(self) -> dict[str, Any]:
        """Return the most similar pair of the groups that were looked for."""
        return {"similarity": round(self._best[0], 4), "groups": self._best[1]}


def _digest(text: str) -> bytes:
    """Return a hash of the normalised text: the texts of a large set need not be kept twice."""
    return hashlib.blake2b(normalise(text).encode(), digest_size=16).digest()


def _characters(groups: list[PromptGroup]) -> int:
    return sum(len(mask_numbers(group.prompt)) for group in groups)
