"""Which texts a comparison takes."""

from dataclasses import replace

from benchmarks.setting import Setting
from steps.cache.encode import encode_groups
from steps.errors import UserError
from steps.groups.schema import PromptGroup
from steps.pairs.make import make_pairs


def training_pairs(setting: Setting) -> list[PromptGroup]:
    """Return ``steps`` times ``pairs`` groups of one pair, each of a prompt of its own.

    Sorted by length (that of a step by the longer of the two rows), and cut from that order as
    stretches of neighbours around evenly spaced places: so a peer that pads finds rows of like
    length in its batches, as it would in a large sorted data set.
    """
    size = setting.size
    pairs = _by_length(setting, one_pair_each(setting.groups))
    if len(pairs) < size.steps * size.pairs:
        raise UserError(
            f"the groups have {len(pairs)} prompts with a pair, but {size.steps * size.pairs} are "
            "measured; raise selection.max_tokens in config/speed.yaml"
        )
    spare = len(pairs) - size.steps * size.pairs
    starts = [round((k + 0.5) * spare / size.steps) + k * size.pairs for k in range(size.steps)]
    return [pair for start in starts for pair in pairs[start : start + size.pairs]]


def one_pair_each(groups: list[PromptGroup]) -> list[PromptGroup]:
    """Return of each group with a pair its first one as a group, the chosen response first."""
    by_id = {group.group_id: group for group in groups}
    first = make_pairs(groups)[0].drop_duplicates("group_id")
    return [pick(by_id[row.group_id], [row.chosen, row.rejected]) for row in first.itertuples()]


def pick(group: PromptGroup, responses: list[int]) -> PromptGroup:
    """Return the group with only these responses."""
    return replace(group, responses=tuple(group.responses[k] for k in responses))


def groups_with(groups: list[PromptGroup], right: int, wrong: int) -> list[PromptGroup]:
    """Return the groups that have so many right and wrong responses, cut to them."""
    cut = []
    for group in groups:
        labels = [response.correct for response in group.responses]
        rights, wrongs = ([k for k, c in enumerate(labels) if c is side] for side in (True, False))
        if len(rights) >= right and len(wrongs) >= wrong:
            cut.append(pick(group, rights[:right] + wrongs[:wrong]))
    return cut


def candidate_sets(setting: Setting) -> list[PromptGroup]:
    """Return ``groups`` prompts with ``candidates`` responses each, of middling length."""
    number = setting.size.candidates
    large = [g for g in setting.groups if len(g.responses) >= number]
    cut = [pick(group, list(range(number))) for group in large]
    return middle(setting, cut, setting.size.groups)


def middle(setting: Setting, groups: list[PromptGroup], wanted: int) -> list[PromptGroup]:
    """Return the ``wanted`` groups in the middle of the order of length.

    Raises:
        UserError: there are fewer.
    """
    if len(groups) < wanted:
        raise UserError(
            f"{len(groups)} prompts have enough responses, but {wanted} are measured; raise "
            "selection.max_tokens in config/speed.yaml"
        )
    start = (len(groups) - wanted) // 2
    return _by_length(setting, groups)[start : start + wanted]


def with_long_prompts(setting: Setting, groups: list[PromptGroup]) -> list[PromptGroup]:
    """Return the groups, their prompts led by solved examples of other problems ("few-shot")."""
    ids = {group.group_id for group in groups}
    examples = [
        f"{other.prompt}\n\n{right.text}\n\n"
        for other in setting.groups
        if other.group_id not in ids
        for right in [r for r in other.responses if r.correct][:1]
    ]
    lead, encode = "", setting.chat.encode_prompt
    while examples and len(encode(lead)) < setting.size.long_prompt:
        lead += examples.pop(0)
    return [replace(group, prompt=lead + group.prompt) for group in groups]


def _by_length(setting: Setting, groups: list[PromptGroup]) -> list[PromptGroup]:
    encoded = encode_groups(groups, setting.chat)

    def longest(place: int) -> int:
        span = encoded.span(place)
        return span.prompt[1] - span.prompt[0] + max(e - s for s, e in span.responses)

    return [groups[place] for place in sorted(range(len(groups)), key=longest)]
