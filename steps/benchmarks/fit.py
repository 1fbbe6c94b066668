"""Which rows of a benchmark the backbone reads whole; no text is cut."""

from collections import Counter
from pathlib import Path

from transformers import AutoConfig

from steps.backbone import load_tokenizer
from steps.benchmarks.left_out import LeftOut
from steps.chat import ChatFormat
from steps.config import Experiment
from steps.groups.schema import PromptGroup
from steps.groups.select import measure


def whole_groups(
    groups: list[PromptGroup], backbone: Path, experiment: Experiment
) -> tuple[list[PromptGroup], list[LeftOut]]:
    """Return the groups whose responses the backbone can all read, and the others' rows.

    A response cannot be read if it is longer than the context, its prompt included, or spells a
    control token, which would forge the turns. Its whole row is left out, so that all methods are
    compared on the same rows; the scores say that rows are missing.
    """
    chat = ChatFormat(load_tokenizer(backbone, experiment))
    context = AutoConfig.from_pretrained(backbone, local_files_only=True).max_position_embeddings
    kept, left_out = [], []
    for group in groups:
        dropped: Counter = Counter()
        readable = len(measure(group, chat, context, dropped).group.responses)
        if readable == len(group.responses):
            kept.append(group)
        else:
            what = ", ".join(f"{what}: {count}" for what, count in dropped.items() if count)
            reason = f"the backbone cannot read it whole ({what})"
            left_out.append(LeftOut(group.group_id, group.category, reason))
    return kept, left_out
