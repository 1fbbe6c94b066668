"""Useful floating-point operations of a decoder: what the work needs, however it is done.

Counted are the matrix products, a multiplication and an addition each as one operation, with
P weights in the linear layers, A pairs of a query and a key that it may see, H = heads x head_dim:

    forward   2 P tokens + 4 H layers A + 2 D V predicted
    backward  the same once for the inputs and once for the weights; a query-key product has two
              inputs, so attention's backward pass is always twice its forward pass

Not counted: embeddings, norms, rotary positions, activations, softmax, the reward head, AdamW, and
what is done more than once (padding, a prompt repeated for each response, recomputation). A prompt
counts once for all of its responses on both sides of a comparison. The formula is tested against
`torch.utils.flop_counter`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from transformers import PreTrainedConfig

from steps.packing import GroupSpan


@dataclass(frozen=True)
class Work:
    """What passes the model.

    Attributes:
        tokens: through the decoder.
        attended: pairs of a query and a key that it may see.
        predicted: tokens whose probability the LM head gives.
    """

    tokens: int
    attended: int
    predicted: int = 0


def work_of(groups: Iterable[GroupSpan], predicted: int = 0) -> Work:
    """Return the work of whole prompt groups, each prompt once."""
    tokens = attended = 0
    for group in groups:
        prompt = group.prompt[1] - group.prompt[0]
        tokens += group.tokens
        attended += prompt * (prompt + 1) // 2
        for start, end in group.responses:
            attended += (end - start) * prompt + (end - start) * (end - start + 1) // 2
    return Work(tokens, attended, predicted)


def product_shapes(config: PreTrainedConfig) -> list[tuple[int, int]]:
    """Return (inputs, outputs) of the linear layers of one decoder layer."""
    hidden, inner = config.hidden_size, config.intermediate_size
    width = getattr(config, "head_dim", None) or hidden // config.num_attention_heads
    queries, keys = width * config.num_attention_heads, width * config.num_key_value_heads
    attention = [(hidden, queries), (hidden, keys), (hidden, keys), (queries, hidden)]
    return [*attention, (hidden, inner), (hidden, inner), (inner, hidden)]


@dataclass(frozen=True)
class _Forward:
    linear: int
    attention: int
    head: int

    def total(self, linear: int = 1, attention: int = 1, head: int = 1) -> int:
        return linear * self.linear + attention * self.attention + head * self.head


def _forward(config: PreTrainedConfig, work: Work, layers: int) -> _Forward:
    shapes = product_shapes(config)
    weights = sum(rows * columns for rows, columns in shapes)
    queries = shapes[0][1]
    return _Forward(
        linear=2 * weights * layers * work.tokens,
        attention=4 * queries * layers * work.attended,
        head=2 * config.hidden_size * config.vocab_size * work.predicted,
    )


def forward_flops(config: PreTrainedConfig, work: Work) -> int:
    """Return the operations of a forward pass."""
    return _forward(config, work, config.num_hidden_layers).total()


def training_flops(
    config: PreTrainedConfig, work: Work, mode: str, trained_layers: int | None = None
) -> int:
    """Return the operations of a forward and a backward pass in a mode of `training.mode`.

    ``full``: gradients of all inputs and weights, an LM head's copy among them; ``lora``: of the
    inputs alone (adapters are not counted) and of the LM head's copy; ``upper_layers``: as
    ``full`` in the upper layers, with the LM head frozen.
    """
    match mode:
        case "full":
            return _forward(config, work, config.num_hidden_layers).total(3, 3, 3)
        case "lora":
            return _forward(config, work, config.num_hidden_layers).total(2, 3, 3)
        case "upper_layers":
            return _forward(config, work, trained_layers).total(3, 3, 2)
