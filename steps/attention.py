"""Attention of a text's last tokens to the tokens up to their own.

torch's kernel for CPUs reaches a fifth of the rate of matrix products. For short texts plain
products are faster, block of queries by block, so that the scores of a block stay in the
processor's caches; the backward pass computes them again. A pair of 700 tokens takes 0.7 of the
kernel's time; from about 600 keys of a text on nothing is gained. The number of keys alone says
which way is taken. The last bits depend on whether the prompt's queries come along, too. GPUs take
`steps.varlen`, or where they cannot torch's kernel.
"""

from collections.abc import Iterator
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

SHORT = 512  # keys
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
        dropout: the probability that an attention weight is dropped.
    """
    if queries.device.type != "cpu":
        # In float32 no fused kernel of GPUs takes heads that share keys.
        own = (_for_heads(x, queries.shape[1]) for x in (keys, values))
        return _by_kernel(queries, *own, scaling, dropout)
    # A batch of key heads, each with its query heads, is spread better over the cores in the
    # kernel's backward pass than query heads are.
    keys, values = keys[0], values[0]
    queries = queries[0].unflatten(0, (len(keys), -1))
    exact = queries.dtype == keys.dtype == values.dtype and queries.dtype.itemsize >= 4
    if exact and keys.shape[1] <= SHORT and not dropout and not torch.is_autocast_enabled("cpu"):
        attended = _ShortAttention.apply(queries, keys, values, scaling)
    else:
        shared = (x[:, None].expand(-1, queries.shape[1], -1, -1) for x in (keys, values))
        attended = _by_kernel(queries, *shared, scaling, dropout)
    return attended.flatten(0, 1)[None]


def _for_heads(keys: Tensor, heads: int) -> Tensor:
    """Repeat [1, KV, n, D] for query heads that share them, [1, H, n, D]."""
    return keys.repeat_interleave(heads // keys.shape[1], 1)


def _by_kernel(
    queries: Tensor, keys: Tensor, values: Tensor, scaling: float, dropout: float
) -> Tensor:
    """Attend by torch's kernel; [batch, heads, m, D] and [batch, heads, n, D].

    Without a mask the kernel takes whole texts only. So queries for the tokens before the last m
    are put in front and their results dropped, where that costs less than the half of a mask that a
    causal call leaves out.
    """
    before = keys.shape[2] - queries.shape[2]
    first, mask = 0, None
    if 0 < before >= queries.shape[2]:
        shape = queries.shape[2], keys.shape[2]
        mask = torch.ones(shape, dtype=torch.bool, device=queries.device).tril(before)
    elif before:
        queries, first = F.pad(queries, (0, 0, before, 0)), before
    attended = F.scaled_dot_product_attention(
        queries,
        keys,
        values,
        attn_mask=mask,
        is_causal=mask is None,
        scale=scaling,
        dropout_p=dropout,
    )
    return attended[:, :, first:]


class _ShortAttention(torch.autograd.Function):
    """Softmax of scores times values by plain products, and its gradients.

    Queries are [KV, G, m, D] with G = H / KV; those of a key head are stacked in a product.
    """

    @staticmethod
    def forward(ctx, queries: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
        output = _in_order_of_tokens(queries)
        for rows, seen in _blocks(queries, keys):
            weights = _weights(_stacked(queries, rows) * scaling, keys[:, :seen], rows)
            _store(torch.bmm(weights, values[:, :seen]), output, rows)
        ctx.save_for_backward(queries, keys, values, output)
        ctx.scaling = scaling
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, output = ctx.saved_tensors
        # Of each query the mean of the gradients of its weights, under those weights.
        delta = (gradient * output).sum(-1, keepdim=True)
        of_queries = _in_order_of_tokens(queries)
        of_keys, of_values = keys.new_zeros(keys.shape), values.new_zeros(values.shape)
        for rows, seen in _blocks(queries, keys):
            scaled, of_output = _stacked(queries, rows) * ctx.scaling, _stacked(gradient, rows)
            weights = _weights(scaled, keys[:, :seen], rows)
            of_values[:, :seen].baddbmm_(weights.mT, of_output)
            of_scores = torch.bmm(of_output, values[:, :seen].mT)
            of_scores.sub_(_stacked(delta, rows)).mul_(weights)
            _store(torch.bmm(of_scores, keys[:, :seen]), of_queries, rows)
            of_keys[:, :seen].baddbmm_(of_scores.mT, scaled)
        return of_queries.mul_(ctx.scaling), of_keys, of_values, None


def _in_order_of_tokens(queries: Tensor) -> Tensor:
    """Return an empty tensor of the same shape in which all heads of a token lie together."""
    heads, group, tokens, size = queries.shape
    return queries.new_empty(tokens, heads, group, size).permute(1, 2, 0, 3)


def _blocks(queries: Tensor, keys: Tensor) -> Iterator[tuple[slice, int]]:
    """Yield blocks of the last queries, and how many keys the last one of each sees."""
    last = queries.shape[2]
    before = keys.shape[1] - last
    for start in range(0, last, BLOCK):
        end = min(start + BLOCK, last)
        yield slice(start, end), before + end


def _stacked(values: Tensor, rows: slice) -> Tensor:
    """Return rows of [KV, G, m, D] as [KV, G * rows, D]."""
    return values[:, :, rows].flatten(1, 2)


def _store(stacked: Tensor, place: Tensor, rows: slice) -> None:
    """Write [KV, G * rows, D] to rows of [KV, G, m, D]."""
    place[:, :, rows] = stacked.unflatten(1, (place.shape[1], -1))


def _weights(scaled: Tensor, keys: Tensor, rows: slice) -> Tensor:
    """Return the softmax of stacked queries over keys [KV, n, D], whose last ones are their own."""
    scores = torch.bmm(scaled, keys.mT)
    own = rows.stop - rows.start
    scores.unflatten(1, (-1, own))[..., -own:].add_(_causal_bias(own, scores.dtype))
    return torch.softmax(scores, -1, out=scores)


@cache
def _causal_bias(tokens: int, dtype: torch.dtype) -> Tensor:
    """Return what is added to scores, [tokens, tokens]: minus infinity for later tokens."""
    return torch.full((tokens, tokens), -torch.inf, dtype=dtype).triu(1)
