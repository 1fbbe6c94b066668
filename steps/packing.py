"""The packed layout: a flat row of tokens made of whole prompt groups.

A group's prompt stands once; each of its K responses attends to the prompt and to itself only, and
positions restart after the prompt. So there is neither padding nor a repeated prompt, and every
linear layer works on one dense [tokens, hidden] matrix. Rewards and probabilities equal those of
the plain one-response-per-row computation. Nothing is saved where texts are of one length and no
prompt has two responses.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from steps import varlen
from steps.attention import attend

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
    scaling: float,
    dropout: float = 0.0,
    groups: list[GroupSpan] | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Attention within [prompt, response] of each response; tensors are [1, heads, T, head_dim].

    The first response's call has the prompt's queries too. The row is split once: the gradient of a
    slice would be a row of zeros for each.
    """
    if varlen.takes(value, dropout):
        sizes = [group.sizes for group in groups]
        return varlen.attend_groups(query, key, value, sizes, scaling), None
    sizes = [size for group in groups for size in group.sizes]
    parts = zip(*(x.split(sizes, 2) for x in (query, key, value)), strict=True)
    outputs = []
    for group in groups:
        prompt_queries, *before = next(parts)
        for number in range(len(group.responses)):
            queries, *own = next(parts)
            if not number:
                queries = torch.cat([prompt_queries, queries], 2)
            whole = (torch.cat(both, 2) for both in zip(before, own, strict=True))
            outputs.append(attend(queries, *whole, scaling, dropout))
    return torch.cat([output.transpose(1, 2) for output in outputs], 1), None


AttentionInterface.register(ATTENTION, _packed_attention)
# No mask tensor: the spans say who attends to whom.
AttentionMaskInterface.register(ATTENTION, lambda *_, **__: None)
