"""Attention of a text's last tokens to the tokens up to their own.

torch's kernel for CPUs reaches a fifth of the rate of matrix products. For short texts plain
products are faster, block of queries by block, so that the scores of a block stay in the
processor's caches; the backward pass computes them again. A text is short by its number of keys
alone, so a response has the same values whatever stands beside it.
"""

from collections.abc import Iterator
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

SHORT = 512  # keys; from about 600 on nothing is gained
BLOCK = 128  # queries


def attend(
    queries: Tensor, keys: Tensor, values: Tensor, scaling: float, dropout: float = 0.0
) -> Tensor:
    """Return what the last m tokens of a text of n gather, [1, H, m, D].

    Args:
        queries: [1, H, m, D], of the last tokens.
        keys: [1, KV, n, D], of all tokens; a key head serves H / KV neighbouring query heads.
        values: [1, KV, n, D].
        scaling: what products of queries and keys are multiplied by.
        dropout: the probability that a token is not looked at.
    """
    if queries.device.type != "cpu":
        return _causal(queries, keys, values, scaling, dropout)
    exact = queries.dtype in (torch.float32, torch.float64)
    if exact and keys.shape[2] <= SHORT and not dropout:
        return _ShortAttention.apply(queries, keys, values, scaling)
    # A batch of key heads, each seen by all of its query heads, is spread better over the cores in
    # the backward pass than query heads are.
    heads = keys.shape[1]
    queries = queries[0].unflatten(0, (heads, -1))
    group = queries.shape[1]
    keys, values = (x[0][:, None].expand(-1, group, -1, -1) for x in (keys, values))
    return _causal(queries, keys, values, scaling, dropout).flatten(0, 1)[None]


def _causal(
    queries: Tensor, keys: Tensor, values: Tensor, scaling: float, dropout: float
) -> Tensor:
    """Attend by torch's kernel; [batch, heads, m, D] and [batch, heads, n, D].

    Without a mask the kernel takes whole texts only. So queries for the tokens before the last m
    are put in front and their results dropped, where that costs less than the half of a mask that a
    causal call leaves out, and on GPUs, where no fused kernel takes a mask if heads share keys.
    """
    last = queries.shape[2]
    before = keys.shape[2] - last
    mask = None
    if before and last <= before and not queries.is_cuda:
        mask = torch.ones(last, before + last, dtype=torch.bool, device=queries.device)
        mask = mask.tril(before)
    else:
        queries = F.pad(queries, (0, 0, before, 0))
    attended = F.scaled_dot_product_attention(
        queries,
        keys,
        values,
        attn_mask=mask,
        is_causal=mask is None,
        scale=scaling,
        dropout_p=dropout,
        enable_gqa=queries.shape[1] != keys.shape[1],
    )
    return attended[:, :, -last:]


class _ShortAttention(torch.autograd.Function):
    """Softmax of scores times values by plain products, and its gradients.

    The query heads of a key head lie below each other: one product for all of them.
    """

    @staticmethod
    def forward(ctx, queries: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
        _, heads, last, size = queries.shape
        output = queries.new_empty(1, last, heads, size).transpose(1, 2)
        ctx.save_for_backward(queries, keys, values, output)
        ctx.scaling = scaling
        keys, values = keys[0], values[0]
        for rows, seen in _blocks(last, keys.shape[1]):
            scaled = _stacked(queries[..., rows, :], keys) * scaling
            weights = _weights(scaled, keys[:, :seen], rows)
            _store(torch.bmm(weights, values[:, :seen]), output[..., rows, :])
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, output = ctx.saved_tensors
        # The gradient of a softmax takes away the mean of the slopes under its weights, which is
        # the product of the output with its gradient.
        means = (gradient * output).sum(-1, keepdim=True)
        of_queries = torch.empty_like(output)
        keys, values = keys[0], values[0]
        of_keys, of_values = keys.new_zeros(keys.shape), values.new_zeros(values.shape)
        for rows, seen in _blocks(queries.shape[2], keys.shape[1]):
            scaled = _stacked(queries[..., rows, :], keys) * ctx.scaling
            weights = _weights(scaled, keys[:, :seen], rows)
            slopes = _stacked(gradient[..., rows, :], keys)
            of_values[:, :seen].baddbmm_(weights.mT, slopes)
            of_scores = torch.bmm(slopes, values[:, :seen].mT)
            of_scores.sub_(_stacked(means[..., rows, :], keys)).mul_(weights)
            _store(torch.bmm(of_scores, keys[:, :seen]), of_queries[..., rows, :])
            of_keys[:, :seen].baddbmm_(of_scores.mT, scaled)
        return of_queries.mul_(ctx.scaling), of_keys[None], of_values[None], None


def _blocks(last: int, all_tokens: int) -> Iterator[tuple[slice, int]]:
    """Yield blocks of the last queries, and how many keys the last one of each sees."""
    before = all_tokens - last
    for start in range(0, last, BLOCK):
        end = min(start + BLOCK, last)
        yield slice(start, end), before + end


def _stacked(rows: Tensor, keys: Tensor) -> Tensor:
    """Put [1, H, m, D] as [KV, H / KV * m, D]."""
    return rows[0].unflatten(0, (len(keys), -1)).flatten(1, 2)


def _store(rows: Tensor, place: Tensor) -> None:
    """Write [KV, H / KV * m, D] to [1, H, m, D]."""
    place[0].unflatten(0, (len(rows), -1)).copy_(rows.unflatten(1, (-1, place.shape[2])))


def _weights(scaled: Tensor, keys: Tensor, rows: slice) -> Tensor:
    """Return the softmax of stacked queries over keys [KV, n, D], whose last ones are their own."""
    scores = torch.bmm(scaled, keys.mT)
    own = rows.stop - rows.start
    scores.unflatten(1, (-1, own))[..., -own:].add_(_hidden(own, scores.dtype))
    return torch.softmax(scores, -1, out=scores)


@cache
def _hidden(tokens: int, dtype: torch.dtype) -> Tensor:
    """Return what is added to scores, [tokens, tokens]: minus infinity for later tokens."""
    return torch.full((tokens, tokens), -torch.inf, dtype=dtype).triu(1)
