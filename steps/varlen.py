"""Attention of packed groups in one call a layer, by torch's kernel for texts of unequal lengths.

It spares a GPU a call and several small operations for every response, and the prompt's queries for
every one after the first. The kernel is flash attention's: half precision, from Ampere on, heads of
a multiple of 8, no dropout. Elsewhere, and on CPUs, each response has a call of its own
(`steps.attention`). Provisional: the gain has not been measured, for want of such a GPU; `make
bench-gpu` measures training and scoring with it.
"""

from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

LARGEST_HEAD = 256  # of flash attention
AMPERE = (8, 0)


class _Texts(NamedTuple):
    """The texts of a row; the first one of a group is its prompt with the first response.

    Attributes:
        query_ends, key_ends: [texts + 1], int32, where the texts end among queries and keys; 0
            stands before.
        most_queries, most_keys: of any text.
        keys: positions in the row of each text's prompt and response, one text after the other.
    """

    query_ends: Tensor
    key_ends: Tensor
    most_queries: int
    most_keys: int
    keys: Tensor


def takes(values: Tensor, dropout: float) -> bool:
    """Whether the kernel takes attention to ``values``, [1, KV, T, D]."""
    return (
        values.is_cuda
        and torch.version.cuda is not None
        and torch.backends.cuda.is_flash_attention_available()
        and values.dtype in (torch.float16, torch.bfloat16)
        and values.shape[-1] <= LARGEST_HEAD
        and values.shape[-1] % 8 == 0
        and not dropout
        and torch.cuda.get_device_capability(values.device) >= AMPERE
    )


def attend_groups(
    queries: Tensor, keys: Tensor, values: Tensor, groups: list[list[int]], scaling: float
) -> Tensor:
    """Return what every token of a row gathers, [1, T, H, D], in the dtype of ``values``.

    Under autocast queries and keys come in float32 from the rotary embedding.

    Args:
        queries: [1, H, T, D].
        keys, values: [1, KV, T, D]; a key head serves H / KV neighbouring query heads.
        groups: tokens of the prompt and of each response of the groups that fill the row.
    """
    texts = _texts(tuple(map(tuple, groups)), values.device)
    queries, keys, values = (x[0].transpose(0, 1).to(values.dtype) for x in (queries, keys, values))
    return varlen_attn(
        queries.contiguous(),
        keys.index_select(0, texts.keys),
        values.index_select(0, texts.keys),
        texts.query_ends,
        texts.key_ends,
        texts.most_queries,
        texts.most_keys,
        scale=scaling,
        window_size=(
            -1,
            0,
        ),  # causal, where the last query and the last key of a text are one token
        enable_gqa=True,
    )[None]


@lru_cache(maxsize=1)  # all layers of a micro-batch ask for the same
@torch.inference_mode(False)  # a training may have the groups that were scored before
def _texts(groups: tuple[tuple[int, ...], ...], device: torch.device) -> _Texts:
    of_queries, of_keys, keys = [], [], []
    end = 0
    for prompt, *responses in groups:
        prompt_keys = torch.arange(end, end + prompt)
        end += prompt
        for number, response in enumerate(responses):
            keys += [prompt_keys, torch.arange(end, end + response)]
            end += response
            of_keys.append(prompt + response)
            of_queries.append(response if number else prompt + response)
    ends = (torch.tensor([0, *accumulate(x)], dtype=torch.int32) for x in (of_queries, of_keys))
    query_ends, key_ends = (x.to(device) for x in ends)
    return _Texts(query_ends, key_ends, max(of_queries), max(of_keys), torch.cat(keys).to(device))
