"""The packed layout: a flat row of tokens made of whole prompt groups.

A group's prompt stands once; each of its K responses attends to the prompt and to itself only, and
positions restart after the prompt. So there is neither padding nor a repeated prompt, and every
linear layer works on one dense [tokens, hidden] matrix. Rewards and probabilities equal those of
the plain one-response-per-row computation.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

ATTENTION = "packed_groups"


@dataclass(frozen=True, slots=True)
class GroupSpan:
    """Where one group lies in the row: [start, end) of its prompt and of each response."""

    prompt: tuple[int, int]
    responses: tuple[tuple[int, int], ...]

    @property
    def tokens(self) -> int:
        return self.responses[-1][1] - self.prompt[0]

    @property
    def sizes(self) -> list[int]:
        """Tokens of the prompt and of each response."""
        return [end - start for start, end in (self.prompt, *self.responses)]

    def shifted(self, by: int) -> "GroupSpan":
        """Return the span moved by ``by`` tokens."""
        start, end = self.prompt
        moved = tuple((s + by, e + by) for s, e in self.responses)
        return GroupSpan((start + by, end + by), moved)


def span_of(prompt_tokens: int, response_tokens: list[int], start: int = 0) -> GroupSpan:
    """Return the span of a group that begins at ``start``."""
    at = start + prompt_tokens
    responses = []
    for tokens in response_tokens:
        responses.append((at, at + tokens))
        at += tokens
    return GroupSpan((start, start + prompt_tokens), tuple(responses))


def position_ids(groups: list[GroupSpan]) -> Tensor:
    """Return [1, T] positions: each response continues after its prompt."""
    parts = []
    for group in groups:
        prompt = group.prompt[1] - group.prompt[0]
        parts.append(torch.arange(prompt))
        parts += [torch.arange(prompt, prompt + end - start) for start, end in group.responses]
    return torch.cat(parts)[None]


def predictors(group: GroupSpan, response: int) -> Tensor:
    """Return the positions whose next-token distributions predict the response's tokens, [L].

    The first token is predicted by the prompt's last one, each other by the token before it.
    """
    start, end = group.responses[response]
    return torch.cat([torch.tensor([group.prompt[1] - 1]), torch.arange(start, end - 1)])


def _packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    groups: list[GroupSpan] | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Attention within [prompt, response] of each response; tensors are [1, heads, T, head_dim].

    The first response's call attends the prompt too. A further one's has its own queries alone,
    under a mask, where it is no longer than the prompt: half the time with 16 responses of 200
    tokens after 800 (CPU). Where it is longer, attending the prompt again costs less than the upper
    half of the mask, which a plain causal call leaves out; on a GPU no fused kernel takes a mask
    where heads share keys.

    The row is split once: the gradient of a slice would be a row of zeros for each.
    """
    sizes = [size for group in groups for size in group.sizes]
    parts = zip(*(x.split(sizes, 2) for x in (query, key, value)), strict=True)
    outputs = []
    for group in groups:
        prompt_queries, *before = next(parts)
        prompt = prompt_queries.shape[2]
        for number in range(len(group.responses)):
            queries, *own = next(parts)
            own = [torch.cat(both, 2) for both in zip(before, own, strict=True)]
            mask = None
            if number and queries.shape[2] <= prompt and not queries.is_cuda:
                mask = _after(prompt, queries.shape[2], queries.device)
            else:
                queries = torch.cat([prompt_queries, queries], 2)
            attended = F.scaled_dot_product_attention(
                queries,
                *own,
                attn_mask=mask,
                is_causal=mask is None,
                scale=scaling,
                dropout_p=dropout,
                enable_gqa=True,
            )
            outputs.append(attended[:, :, prompt:] if number and mask is None else attended)
    return torch.cat(outputs, 2).transpose(1, 2), None


def _after(prompt: int, response: int, device: torch.device) -> Tensor:
    """Return who may see whom, [response, prompt + response]: the prompt and what came before."""
    whole = torch.ones(response, prompt + response, dtype=torch.bool, device=device)
    return whole.tril(prompt)


AttentionInterface.register(ATTENTION, _packed_attention)
# No mask tensor: the spans say who attends to whom.
AttentionMaskInterface.register(ATTENTION, lambda *_, **__: None)
