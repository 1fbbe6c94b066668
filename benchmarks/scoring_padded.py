"""Pair scoring against transformers' own class on padded batches of rows sorted by length, the
fastest of several batch sizes.
"""

from functools import partial

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from benchmarks.flops import forward_flops, work_of
from benchmarks.reward_model import write_reward_model
from benchmarks.rows import Row, rate_row
from benchmarks.setting import Setting
from benchmarks.texts import one_pair_each
from benchmarks.timing import TOLERANCE, against_fastest, check_equal, run_of
from steps.cache.encode import encode_groups
from steps.score.reward_model import open_reward_model
from steps.score.stream import score_stream

NAME = "scoring of pairs against padded batches"


def against_padded_scoring(setting: Setting, tokens_per_batch: int) -> Row:
    """One pair of each of several prompts; both start at the texts."""
    groups = one_pair_each(setting.groups)[: setting.size.scored_pairs]
    folder = write_reward_model(setting)
    ours = open_reward_model(folder, precision=setting.experiment.training.precision)
    theirs = AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="sdpa", dtype=setting.dtype
    )
    theirs = theirs.to(ours.model.device).eval()

    def score() -> np.ndarray:
        stream = score_stream(ours, groups, tokens_per_batch=tokens_per_batch)
        return np.concatenate([scored.rewards for scored in stream])

    def score_padded(batch_size: int) -> np.ndarray:
        texts = (each for group in groups for each in ours.encode(group))
        rows = [torch.tensor(each.prompt + each.response.ids) for each in texts]
        return padded(theirs, rows, batch_size)

    sizes = setting.size.batch_sizes
    check_equal(NAME, score(), score_padded(sizes[0]), TOLERANCE[setting.dtype])
    ways = {size: partial(run_of, partial(score_padded, size)) for size in sizes}
    seconds, best = against_fastest(run_of(score), ways, setting.size.rounds)
    encoded = encode_groups(groups, setting.chat)
    spans = [encoded.span(place) for place in range(len(encoded))]
    return rate_row(
        setting.machine,
        seconds,
        amount=len(groups),
        flops=forward_flops(setting.config, work_of(spans)),
        name=NAME,
        work=f"{len(groups)} pairs, {sum(s.tokens for s in spans):,} tokens",
        peer_name=f"transformers' classifier, padded batches of {best} rows",
        unit="pairs/s",
        target=None,
    )


@torch.inference_mode()
def padded(model: PreTrainedModel, rows: list[torch.Tensor], batch_size: int) -> np.ndarray:
    """Return the rewards of token rows, [N]."""
    order = sorted(range(len(rows)), key=lambda k: len(rows[k]))
    rewards = np.empty(len(rows))
    for at in range(0, len(order), batch_size):
        batch = order[at : at + batch_size]
        pad = model.config.pad_token_id
        ids = pad_sequence([rows[k] for k in batch], batch_first=True, padding_value=pad)
        mask = (ids != pad).long()
        ids, mask = ids.to(model.device), mask.to(model.device)
        output = model(input_ids=ids, attention_mask=mask, use_cache=False)
        rewards[batch] = output.logits[:, 0].float().cpu().numpy()
    return rewards
