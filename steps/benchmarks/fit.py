"""Which rows of a benchmark the backbone reads whole; no text is cut."""

from collections import Counter
from pathlib import Path

from transformers import AutoConfig

from steps.backbone import load_tokenizer
from steps.chat import ChatFormat
from steps.config import Experiment
from steps.errors import UserError
from steps.groups.schema import PromptGroup
from steps.groups.select import measure


def whole_groups(
    groups: list[PromptGroup], backbone: Path, experiment: Experiment
) -> tuple[list[PromptGroup], list[str]]:
    """Return the groups whose responses the backbone can all read, and the ids of the others.

    A response cannot be read if it is longer than the context, its prompt included, or spells a
    control token, which would forge the turns. Its whole row is left out, so that all methods are
    compared on the same rows; the scores say that rows are missing.

    Raises:
        UserError: no group can be read.
    """
    chat = ChatFormat(load_tokenizer(backbone, experiment))
    context = AutoConfig.from_pretrained(backbone, local_files_only=True).max_position_embeddings
    dropped: Counter = Counter()
    kept, left_out = [], []
    for group in groups:
        readable = len(measure(group, chat, context, dropped).group.responses)
        if readable == len(group.responses):
            kept.append(group)
        else:
            left_out.append(group.group_id)
    if not kept:
        reasons = ", ".join(f"{count} {what}" for what, count in dropped.items())
        raise UserError(f"{backbone} can read no row of the benchmark whole ({reasons})")
    return kept, left_out
