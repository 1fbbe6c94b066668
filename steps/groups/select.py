"""Choosing the responses that enter an experiment: length, balance and token budget.

Whatever is left out is counted and reported: a response that is longer than the cut-off is dropped
whole and never truncated, because the reward is read at its last token.
"""

import argparse
import random
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from steps.chat import ChatFormat, ControlTokenError
from steps.config.schema import ANNOTATED_SET, Selection
from steps.errors import UserError
from steps.files import atomic_path, write_json
from steps.groups.order import has_order
from steps.groups.schema import PromptGroup, Response, read_groups, write_groups
from steps.outputs import check_outputs
from steps.progress import Progress


@dataclass(frozen=True)
class Sized:
    """A group with the tokens of its prompt and of each of its responses."""

    group: PromptGroup
    prompt_tokens: int
    response_tokens: tuple[int, ...]

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + sum(self.response_tokens)

    @property
    def row_tokens(self) -> int:
        """Tokens when every response stands in a row of its own, after its prompt."""
        return self.tokens + self.prompt_tokens * (len(self.response_tokens) - 1)


def measure(group: PromptGroup, chat: ChatFormat, max_tokens: int, dropped: Counter) -> Sized:
    """Keep the responses that can be encoded within ``max_tokens`` (prompt included)."""
    kept: list[Response] = []
    sizes: list[int] = []
    try:
        prompt_tokens = len(chat.encode_prompt(group.prompt))
    except ControlTokenError:
        dropped["responses with a control token"] += len(group.responses)
        return Sized(replace(group, responses=()), 0, ())
    for response in group.responses:
        try:
            tokens = len(chat.encode_response(group.prompt, response.text).ids)
        except ControlTokenError:
            dropped["responses with a control token"] += 1
            continue
        if prompt_tokens + tokens > max_tokens:
            dropped[f"responses over {max_tokens} tokens"] += 1
            continue
        kept.append(response)
        sizes.append(tokens)
    sized = Sized(replace(group, responses=tuple(kept)), prompt_tokens, tuple(sizes))
    members = Counter(response.pair for response in kept if response.pair is not None)
    whole = [k for k, response in enumerate(kept) if members.get(response.pair) != 1]
    dropped["responses whose pair has lost the other one"] += len(kept) - len(whole)
    return _subset(sized, whole)


def balance(
    sized: Sized, settings: Selection, at_least: int, one_sided: bool, dropped: Counter
) -> Sized | None:
    """Keep at most the configured number of right and of wrong responses, drawn by the seed.

    Where that gives fewer than ``at_least``, others are added as far as there are any. Returns None
    for a group that cannot give a pair or, if ``one_sided``, not one response that is known to be
    right or wrong. Responses that carry a score instead of correctness are all kept, and groups
    that only scores put in order are kept whole.
    """
    labels = [response.correct for response in sized.group.responses]
    right = [k for k, label in enumerate(labels) if label is True]
    wrong = [k for k, label in enumerate(labels) if label is False]
    scored = [k for k, label in enumerate(labels) if label is None]
    if one_sided and not right and not wrong:
        dropped["prompts without a response known to be right or wrong"] += 1
        return None
    if not one_sided and not has_order(sized.group):
        dropped[_why_no_order(right, wrong, scored)] += 1
        return None
    if not one_sided and (not right or not wrong):
        return sized
    # Seeded by the prompt, so that one prompt's draw does not depend on the others.
    draw = random.Random(f"{settings.seed}/{sized.group.group_id}")
    chosen = draw_matched(sized.group.responses, right, wrong, settings, draw)
    rest = sorted({*right, *wrong} - {*chosen})
    missing = max(at_least - len(chosen), 0)
    chosen += draw.sample(rest, min(len(rest), missing))
    dropped["responses above the number per prompt"] += len(right) + len(wrong) - len(chosen)
    return _subset(sized, sorted(chosen + scored))


def _why_no_order(right: list[int], wrong: list[int], scored: list[int]) -> str:
    """Name the prompts of which no response is known to be better than another."""
    if not right and not wrong:
        return "prompts without two different scores"
    if scored:
        return "prompts whose responses have no common kind of label"
    return f"prompts without a {'wrong' if right else 'right'} response"


def draw_matched(
    responses: tuple[Response, ...],
    right: list[int],
    wrong: list[int],
    settings: Selection,
    draw: random.Random,
) -> list[int]:
    """Draw right and wrong responses, first in couples of one author, then whatever is left.

    The author is a shortcut: who writes the right answer more often can be told by style alone.
    Authors with a right and a wrong response give pairs that no knowledge of style can order.
    """
    right, wrong = draw.sample(right, len(right)), draw.sample(wrong, len(wrong))
    couples = []
    unused = list(wrong)
    for r in right:
        author = responses[r].model
        partner = next((w for w in unused if author and responses[w].model == author), None)
        if partner is not None:
            unused.remove(partner)
            couples.append((r, partner))
    first_right, first_wrong = [r for r, _ in couples], [w for _, w in couples]
    ordered_right = first_right + [r for r in right if r not in first_right]
    ordered_wrong = first_wrong + [w for w in wrong if w not in first_wrong]
    return ordered_right[: settings.right_per_prompt] + ordered_wrong[: settings.wrong_per_prompt]


def _subset(sized: Sized, kept: list[int]) -> Sized:
    responses = tuple(sized.group.responses[k] for k in kept)
    tokens = tuple(sized.response_tokens[k] for k in kept)
    return Sized(replace(sized.group, responses=responses), sized.prompt_tokens, tokens)


def fit_budget(groups: list[Sized], budget: int | None, seed: int, dropped: Counter) -> list[Sized]:
    """Draw groups until the next one would exceed ``budget`` tokens; keep the given order."""
    if budget is None:
        return groups
    order = list(range(len(groups)))
    random.Random(f"{seed}/budget").shuffle(order)
    kept, used = set(), 0
    for place in order:
        if used + groups[place].tokens > budget:
            break
        used += groups[place].tokens
        kept.add(place)
    dropped["prompts over the token budget"] += len(groups) - len(kept)
    return [group for place, group in enumerate(groups) if place in kept]


def select_set(
    name: str,
    groups: list[PromptGroup],
    chat: ChatFormat,
    settings: Selection,
    labels: str = "pairwise",
) -> tuple[list[PromptGroup], dict]:
    """Select one set; return its groups and the counts of what was kept and dropped.

    With ``labels`` pointwise, prompts whose responses are all right or all wrong are trained on
    too. Evaluation has a use for them in best-of-N alone (`one_sided_prompts`).
    """
    dropped: Counter = Counter()
    progress = Progress(f"counting the tokens of {name}", len(groups), "prompts")
    sized = []
    for group in groups:
        sized.append(measure(group, chat, settings.max_tokens, dropped))
        progress.advance(1)
    dropped["prompts without a response left"] = sum(not s.group.responses for s in sized)
    sized = [s for s in sized if s.group.responses]
    required = settings.evaluation_responses_required and name not in ("train", ANNOTATED_SET)
    if name != ANNOTATED_SET:
        at_least = 0 if name == "train" else settings.evaluation_responses
        pointwise = name == "train" and labels == "pointwise"
        one_sided = pointwise or (name != "train" and settings.one_sided_prompts)
        balanced = (balance(s, settings, at_least, one_sided, dropped) for s in sized)
        sized = [s for s in balanced if s]
        if required:
            whole = [s for s in sized if len(s.group.responses) >= at_least]
            dropped[f"prompts with fewer than {at_least} responses"] += len(sized) - len(whole)
            sized = whole
    sized = fit_budget(sized, settings.token_budget.get(name), settings.seed, dropped)
    if not sized:
        reasons = ", ".join(f"{count} {what}" for what, count in dropped.items() if count)
        wanted = "right and wrong responses, or different scores, of one prompt"
        if name == "train" and labels == "pointwise":
            wanted = "responses labelled right or wrong (or set training.labels: pairwise)"
        if required:
            wanted += ", lower selection.evaluation_responses"
        raise UserError(
            f"the set '{name}' is empty after selection ({reasons}); give data that has {wanted}, "
            f"or raise selection.max_tokens or selection.token_budget.{name} if texts are too long"
        )
    counts = {
        "prompts": len(sized),
        "responses": sum(len(s.group.responses) for s in sized),
        "tokens": sum(s.tokens for s in sized),
        "row_tokens": sum(s.row_tokens for s in sized),
        "largest_group": max(s.tokens for s in sized),
        "largest_group_in_rows": max(s.row_tokens for s in sized),
        "dropped": {what: count for what, count in sorted(dropped.items()) if count},
    }
    return [s.group for s in sized], counts


def summary(counts: dict[str, dict]) -> list[str]:
    """Return one sentence per set for people."""
    lines = []
    for name, facts in counts.items():
        dropped = "; ".join(f"{count:,} {what}" for what, count in facts["dropped"].items())
        lines.append(
            f"{name}: {facts['prompts']:,} prompts, {facts['responses']:,} responses, "
            f"{facts['tokens']:,} tokens" + (f" (left out: {dropped})" if dropped else "")
        )
    return lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of ``python -m steps.groups select``."""
    parser.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    parser.add_argument("--prepared", type=Path, required=True, help="folder of `prepare`")
    parser.add_argument("--backbone", type=Path, required=True, help="folder with the tokenizer")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")


def run(arguments: argparse.Namespace) -> None:
    """Select every set of the experiment and write them with ``selection.json``."""
    from steps.backbone import load_tokenizer
    from steps.config import load_experiment
    from steps.provenance import RunCard

    read = [arguments.experiment, arguments.prepared, arguments.backbone]
    check_outputs([arguments.card], read, arguments.output)
    experiment = load_experiment(arguments.experiment)
    labels = experiment.training.labels
    settings = experiment.selection.model_dump() | {"labels": labels}
    card = RunCard(
        "select",
        settings,
        path=arguments.card,
        inputs=[arguments.prepared, arguments.backbone],
        experiment=experiment,
    )
    chat = ChatFormat(load_tokenizer(arguments.backbone, experiment))
    counts = {}
    with atomic_path(arguments.output) as temporary:
        temporary.mkdir()
        for name in ["train", *experiment.evaluation_sets]:
            groups = read_groups(arguments.prepared / f"{name}.parquet")
            selected, counts[name] = select_set(name, groups, chat, experiment.selection, labels)
            write_groups(temporary / f"{name}.parquet", selected)
        lines = summary(counts)
        write_json(temporary / "selection.json", {"sets": counts, "summary": lines})
    print("\n".join(lines))
    # Each by itself, as the steps after this one read them: so their cards notice a change.
    card.write(sorted(arguments.output.iterdir()))
