"""What torch's kernel for texts of unequal lengths, which runs on GPUs alone, should compute."""

import inspect

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

SIGNATURE = inspect.signature(varlen_attn)


def attend_texts(*arguments, **options) -> Tensor:
    """Attend text by text; the last query of a text stands at its last key."""
    call = SIGNATURE.bind(*arguments, **options).arguments
    query, key, value = call["query"], call["key"], call["value"]
    ends = call["cu_seq_q"], call["cu_seq_k"]
    assert all(end.dtype == torch.int32 for end in ends)
    assert query.is_contiguous() and key.is_contiguous() and value.is_contiguous()
    assert query.dtype == key.dtype == value.dtype
    assert query.shape[-1] % 8 == 0
    assert call["window_size"] == (-1, 0) and call["enable_gqa"]
    places, of_keys = (torch.stack([end[:-1], end[1:]], 1).tolist() for end in ends)
    assert places[-1][1] == len(query) and of_keys[-1][1] == len(key) == len(value)
    assert call["max_q"] == max(end - start for start, end in places)
    assert call["max_k"] == max(end - start for start, end in of_keys)
    sharing = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(sharing, 1) for x in (key, value))
    outputs = []
    for own, seen in zip(places, of_keys, strict=True):
        scores = torch.einsum("qhd,khd->hqk", query[slice(*own)], key[slice(*seen)])
        later = torch.ones(scores.shape[1:], dtype=torch.bool).triu(
            1 + scores.shape[2] - scores.shape[1]
        )
        weights = (scores * call["scale"]).masked_fill(later, -torch.inf).softmax(-1)
        outputs.append(torch.einsum("hqk,khd->qhd", weights, value[slice(*seen)]))
    return torch.cat(outputs)
