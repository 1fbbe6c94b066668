"""From what the model computed for whole groups to what the loss terms see: two sides of rows."""

from dataclasses import fields, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from steps.layouts import States
from steps.objectives.batch import Batch, Side
from steps.train.batches import TrainingGroup


def arrange(
    groups: list[TrainingGroup],
    states: States,
    rewards: Tensor | None,
    log_probs: np.ndarray | None,
    lm_log_probs: list[Tensor] | None,
) -> Batch:
    """Return the pairs (or labelled responses) of ``groups``.

    Args:
        rewards: [N], at all computed positions; None: the model gives none.
        log_probs: [T], the generator's, of the whole store; None where it has none.
        lm_log_probs: of the tokens of each response, through all groups; empty for a response that
            no term asked for, None where none asked for any.
    """
    device = states.hidden.device
    spans = [span for group in groups for span in group.cached.span.responses]
    lengths = torch.tensor([end - start for start, end in spans])
    side = Side(
        rewards=None if rewards is None else _pad([rewards[p.to(device)] for p in states.places]),
        mask=(torch.arange(int(lengths.max())) < lengths[:, None]).to(device),
        log_probs=None if log_probs is None else _stored(log_probs, spans).to(device),
        # The place in the store: one number per response, whatever batch it is in.
        ids=torch.tensor([start for start, _ in spans], device=device),
        lm_log_probs=None if lm_log_probs is None else _spread(lm_log_probs, int(lengths.max())),
        row_means=None
        if rewards is None or states.row_length is None
        else rewards.view(-1, states.row_length).mean(1).detach(),
    )
    chosen, rejected = (rows.to(device) for rows in flat_indices(groups))
    margins = None
    if groups[0].paired:
        margins = torch.cat([group.margins for group in groups]).to(device)
    return Batch(_rows(side, chosen), _rows(side, rejected), groups[0].paired, margins)


def flat_indices(groups: list[TrainingGroup]) -> tuple[Tensor, Tensor]:
    """Return the chosen and the rejected responses, counted through all groups."""
    chosen, rejected, at = [], [], 0
    for group in groups:
        chosen.append(group.chosen + at)
        rejected.append(group.rejected + at)
        at += len(group.cached.span.responses)
    return torch.cat(chosen), torch.cat(rejected)


def _pad(rows: list[Tensor]) -> Tensor:
    return pad_sequence(rows, batch_first=True)


def _stored(log_probs: np.ndarray, spans: list[tuple[int, int]]) -> Tensor:
    return _pad([torch.from_numpy(log_probs[slice(*span)]) for span in spans])


def _spread(rows: list[Tensor], width: int) -> Tensor:
    """Return the rows in one of ``width`` columns each, [K, L]; an empty one is zero."""
    return _pad([*rows, rows[0].new_zeros(width)])[:-1]


def _rows(side: Side, rows: Tensor) -> Side:
    """Return the responses ``rows`` of a side."""
    values = {field.name: getattr(side, field.name) for field in fields(side)}
    return replace(side, **{name: v[rows] for name, v in values.items() if v is not None})
