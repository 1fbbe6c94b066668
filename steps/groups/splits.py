"""Splitting problems into train and evaluation sets, near-duplicates kept together."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher

from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from steps.config.schema import ANNOTATED_SET
from steps.groups.schema import PromptGroup, Response

OUT_OF_DISTRIBUTION_CATEGORIES = ("Combinatorics", "Sequence")
# Two prompts above this character similarity (numbers masked) count as near-duplicates.
NEAR_DUPLICATE = 0.8
# Shorter hints, such as "1981 mod 4=1." or "Consider n=1.", say nothing about a problem.
MIN_HINT_WORDS = 5


@dataclass(frozen=True)
class Problem:
    """What decides the split of a problem. ``hints`` maps the identifiers to the texts."""

    group_id: str
    category: str
    text: str
    hints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Splits:
    """``split_of`` maps a group to its split; ``dropped`` groups are in none."""

    split_of: dict[str, str]
    clusters: list[list[str]]  # those with two or more problems
    dropped: list[str]


def normalise(text: str) -> str:
    """Return the text in lower case with single spaces."""
    return " ".join(text.lower().split())


def mask_numbers(text: str) -> str:
    """Return the normalised text with every run of digits replaced by ``#``."""
    return re.sub(r"\d+", "#", normalise(text))


def similarity(a: str, b: str, floor: float = 0.0) -> float:
    """Return difflib's character ratio of two masked texts, or 0 where it is at most ``floor``.

    The cheap upper bounds are tried first. The texts are put in order, because the ratio depends
    on it.
    """
    if a == b:
        return 1.0
    matcher = SequenceMatcher(None, *sorted((a, b)), autojunk=False)
    if matcher.real_quick_ratio() <= floor or matcher.quick_ratio() <= floor:
        return 0.0
    ratio = matcher.ratio()
    return ratio if ratio > floor else 0.0


def find_clusters(problems: list[Problem]) -> list[list[int]]:
    """Group the indices of problems that are connected by near-duplicates or a shared hint.

    A hint is shared if its identifier or its wording (of `MIN_HINT_WORDS` or more) is the same.
    """
    masked = [mask_numbers(p.text) for p in problems]
    edges = [
        (i, j)
        for i in range(len(problems))
        for j in range(i)
        if similarity(masked[i], masked[j], NEAR_DUPLICATE)
    ]
    first_with: dict[str, int] = {}
    for i, problem in enumerate(problems):
        texts = {normalise(text) for text in problem.hints.values()}
        long = {text for text in texts if len(text.split()) >= MIN_HINT_WORDS}
        edges += [(i, first_with.setdefault(hint, i)) for hint in sorted({*problem.hints, *long})]
    rows, columns = zip(*edges, strict=True) if edges else ((), ())
    graph = coo_matrix(([1] * len(edges), (rows, columns)), shape=(len(problems),) * 2)
    _, labels = connected_components(graph, directed=False)
    members = defaultdict(list)
    for index, label in enumerate(labels):
        members[label].append(index)
    return list(members.values())


def assign_splits(
    problems: list[Problem],
    test_share: float,
    seed: int,
    held_out: tuple[str, ...] = OUT_OF_DISTRIBUTION_CATEGORIES,
) -> Splits:
    """Assign each problem to train, in_distribution or out_of_distribution.

    Problems of the ``held_out`` categories are out_of_distribution. Of each other category, whole
    clusters are drawn into in_distribution until about ``test_share`` of its problems are there. A
    cluster of several categories belongs to the one that most of its problems have. Where a
    cluster also reaches into a held-out category, its other problems are dropped: wherever they
    went, they would have a near-duplicate in another set.
    """
    split_of: dict[str, str] = {}
    dropped: list[str] = []
    by_category: dict[str, list[list[Problem]]] = defaultdict(list)
    clusters = [[problems[i] for i in cluster] for cluster in find_clusters(problems)]
    for cluster in clusters:
        outside = [p for p in cluster if p.category in held_out]
        split_of |= {p.group_id: "out_of_distribution" for p in outside}
        if outside:
            dropped += [p.group_id for p in cluster if p.category not in held_out]
        else:
            sizes = Counter(p.category for p in cluster)
            home = min(sizes, key=lambda category: (-sizes[category], category))
            by_category[home].append(cluster)
    for category, members in sorted(by_category.items()):
        test = _draw(members, test_share, random.Random(f"{seed}/{category}"))
        for place, cluster in enumerate(members):
            split = "in_distribution" if place in test else "train"
            split_of |= {p.group_id: split for p in cluster}
    shown = [sorted(p.group_id for p in cluster) for cluster in clusters if len(cluster) > 1]
    return Splits(split_of, sorted(shown), sorted(dropped))


def _draw(clusters: list[list[Problem]], share: float, draw: random.Random) -> set[int]:
    """Draw the places of whole clusters with about ``share`` of the problems, both sides filled."""
    target = share * sum(map(len, clusters))
    order = list(range(len(clusters)))
    draw.shuffle(order)
    test: set[int] = set()
    used = 0
    for place in order:
        # Taken if that brings the total nearer to the target than leaving it.
        if used + len(clusters[place]) / 2 <= target and len(test) < len(clusters) - 1:
            test.add(place)
            used += len(clusters[place])
    if not test and len(clusters) > 1:
        test.add(min(order, key=lambda place: len(clusters[place])))
    return test


def build_sets(
    groups: list[PromptGroup], split_of: Mapping[str, str], with_hints: bool
) -> tuple[dict[str, list[PromptGroup]], Counter]:
    """Distribute groups over train and the three evaluation sets; keep what can be used there.

    train, in_distribution and out_of_distribution take the responses of known correctness or
    score, hinted ones only ``with_hints``. first_wrong_step takes the held-out problems' responses
    in which a human marked a wrong step, those that saw hints too (they stay flagged).

    Returns:
        The sets by name, and the counts of what was left out and why.
    """
    names = ("train", "in_distribution", "out_of_distribution", ANNOTATED_SET)
    sets: dict[str, list[PromptGroup]] = {name: [] for name in names}
    left_out: Counter = Counter()
    for group in groups:
        split = split_of.get(group.group_id)
        if split is None:
            left_out["problems that are in no split"] += 1
            continue
        labelled = keep_labelled(group, left_out).responses
        kept = [r for r in labelled if with_hints or not r.hinted]
        left_out["responses that saw hints"] += len(labelled) - len(kept)
        _add(sets[split], group, kept, left_out)
        marked = [r for r in group.responses if r.error_start is not None]
        if split != "train" and marked:
            _add(sets[ANNOTATED_SET], group, marked, left_out)
    return sets, left_out


def keep_labelled(group: PromptGroup, left_out: Counter) -> PromptGroup:
    """Return the group with its responses of known correctness or score; count the others."""
    kept = [r for r in group.responses if r.correct is not None or r.score is not None]
    left_out["responses without a label"] += len(group.responses) - len(kept)
    return replace(group, responses=tuple(kept))


def _add(
    target: list[PromptGroup], group: PromptGroup, kept: list[Response], left_out: Counter
) -> None:
    if kept:
        target.append(replace(group, responses=tuple(kept)))
    else:
        left_out["problems without a response left"] += 1
