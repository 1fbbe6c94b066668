"""From sampled tokens to prompt groups."""

import re
from collections import Counter
from dataclasses import replace

from steps.chat import ChatFormat
from steps.errors import UserError
from steps.groups.grading import grade_answer
from steps.groups.grading.boxed import boxed_answer, grade_boxed
from steps.groups.schema import PromptGroup, Response
from steps.sample.backend import Completion

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def sampled_groups(
    groups: list[PromptGroup], completions: list[Completion], chat: ChatFormat, model: str
) -> tuple[list[PromptGroup], Counter]:
    """Return the groups with the samples as their responses, and counts of what was sampled.

    Samples without any text, and those that spell a control token in letters, are no responses.

    Args:
        completions: of all groups in order, equally many of each.
        model: written as the author of the responses.
    Raises:
        UserError: not one sample has a text.
    """
    counts = Counter(each.finish_reason for each in completions)
    per_group = len(completions) // len(groups)
    made = []
    for place, group in enumerate(groups):
        own = completions[place * per_group : (place + 1) * per_group]
        answered = [_response(group, k, each, chat, model, counts) for k, each in enumerate(own)]
        responses = tuple(each for each in answered if each is not None)
        if responses:
            made.append(replace(group, responses=responses))
        else:
            counts["prompts without a response"] += 1
    if not made:
        raise UserError(
            f"not one of the {len(completions):,} samples of '{model}' has a text; sample again "
            "with another model or a higher temperature"
        )
    return made, counts


def _response(
    group: PromptGroup,
    sample: int,
    completion: Completion,
    chat: ChatFormat,
    model: str,
    counts: Counter,
) -> Response | None:
    text = chat.decode_response(completion.ids)
    if not text.strip():
        counts["empty samples left out"] += 1
        return None
    if chat.spells_control(text):
        counts["samples that spell a control token left out"] += 1
        return None
    correct = None
    if group.answer is not None:
        finished = completion.finish_reason == "stop"
        correct = is_correct(group.prompt, group.answer, text, finished)
        counts["right" if correct else "wrong"] += 1
    return Response(
        text,
        correct,
        model=model,
        finish_reason=completion.finish_reason,
        n_tokens=len(completion.ids),
        sample=sample,
    )


def is_correct(problem: str, gold: str, text: str, finished: bool) -> bool:
    """Return whether the final answer of ``text`` is right.

    That is the boxed answer of its last paragraph: math-verify decides for answers in LaTeX, the
    grader of closing sentences for answers in words ("98 values", "x=1, y=2"). Without one, it is
    the last sentence, if the text is ``finished``. What the grader abstains from is not right.
    """
    if grade_boxed(gold, text):
        return True
    claim = boxed_answer(text)
    if claim is None and not finished:
        return False
    last = _SENTENCE_END.split(text.strip())[-1] if claim is None else f"The answer is {claim}."
    return grade_answer(problem, gold, last) is True
