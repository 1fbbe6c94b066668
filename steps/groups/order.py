"""Which of two responses to a prompt is better, as far as their labels tell.

Correct stands over wrong; where the correctness of one of the two is not known, the higher score
stands over the lower. A response of which only the correctness is known and one with a score alone
have no order: nobody but the user knows whether 3.5 is right. Responses that were given in pairs
are compared inside their pair only.
"""

from itertools import combinations

from steps.groups.schema import PromptGroup, Response


def compare(a: Response, b: Response) -> int:
    """Return 1 if ``a`` is better than ``b``, -1 if it is worse, 0 if neither is known to be."""
    if a.pair != b.pair:
        return 0
    if a.correct is not None and b.correct is not None:
        return int(a.correct) - int(b.correct)
    if a.score is not None and b.score is not None:
        return (a.score > b.score) - (a.score < b.score)
    return 0


def has_order(group: PromptGroup) -> bool:
    """Whether some response of the group is known to be better than another."""
    return any(compare(a, b) for a, b in combinations(group.responses, 2))


def no_common_label(a: Response, b: Response) -> bool:
    """Whether both have a label, but one only its correctness and the other only a score."""
    kinds = [(r.correct is not None, r.score is not None) for r in (a, b)]
    return sorted(kinds) == [(False, True), (True, False)]


def mixed_labels_note(path: str, groups: list[PromptGroup]) -> str | None:
    """Return a sentence on the pairs of a file that have no common label; None without any."""
    pairs = [
        sum(no_common_label(a, b) for a, b in combinations(group.responses, 2)) for group in groups
    ]
    mixed = sum(count > 0 for count in pairs)
    if not mixed:
        return None
    return (
        f"{path}: in {mixed:,} of {len(groups):,} groups some responses have only 'correct' and "
        f"others only 'score', so {sum(pairs):,} pairs of responses have no order and are left "
        "out; give all responses of a group the same kind of label"
    )
