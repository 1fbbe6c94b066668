"""Peak memory of a job, computed from the widths of the model and the tokens of a batch.

Counted for training, in bytes, per trained parameter: 4 of the gradient and 8 of AdamW's moments;
all weights in the dtype that they are held in; and of the largest micro-batch, N tokens:

- activations: what every trained layer keeps for the backward pass, per token
      6 D   input, normed and scaled hidden states of the two norms (with adapters 4 D: a frozen
            norm does not keep its normed input)
      3 A + 2 K   queries, output and its rearrangement; keys and values
      4 I   gate, its activation, up-projection, product
  and as much again for one layer, whose gradients exist while it is passed. With gradient
  checkpointing the layers keep D each, and one of them is computed again. A D is 4 bytes since
  norms compute in float32; the others are 2 in bf16.
- logits: so many rows of V as `steps.lm_head.chunk_rows` says, in float32, twice (three times
  where the head is trained, whose gradient [V, D] exists a second time before it is added; in
  bf16 beside a half-wide head and a chunk's part of it), and 3 D per token for the hidden states,
  their scaled copy and the slopes of `steps.lm_head`.

On a GPU bf16 holds a second, half-wide copy of the weights that are not adapters, and the optimiser
works on all parameters at once, which takes 4 bytes more of each while no activation exists.

On the CPU the general allocator strews the small outputs of adapters among large tensors and cannot
reuse the gaps: activations of `mode: lora` take 1.6 times their size there (measured 1.7).

Left out: the r-wide outputs of adapters, prompts that packed attention repeats for every response,
the batch's losses, and file pages that the system may take back (weights while they are read, the
cache's hidden states).
"""

from dataclasses import dataclass, replace

from steps.config.schema import Generator, Training
from steps.lm_head import chunk_rows
from steps.plan.architecture import Shape
from steps.plan.machine import Machine
from steps.plan.parameters import Parameters

STREWN = 1.6


@dataclass(frozen=True)
class Memory:
    """Bytes of a job on its device; the parts are explained above.

    Attributes:
        process: libraries, before any tensor.
        step: what the optimiser takes besides, while activations and logits do not exist.
    """

    process: int
    weights: int
    gradients: int = 0
    optimiser: int = 0
    activations: int = 0
    logits: int = 0
    step: int = 0

    @property
    def lasting(self) -> int:
        """What no batch changes."""
        return self.process + self.weights + self.gradients + self.optimiser

    @property
    def total(self) -> int:
        """The peak."""
        return self.lasting + max(self.activations + self.logits, self.step)


def training_memory(
    shape: Shape,
    parameters: Parameters,
    settings: Training,
    tokens: int,
    has_lm_term: bool,
    machine: Machine,
) -> Memory:
    """Return the peak of a training job.

    Args:
        tokens: of its largest micro-batch, N.
        has_lm_term: whether a term reads LM log-probabilities.
    """
    half = machine.gpu and settings.precision == "bf16"
    strewn = STREWN if settings.mode == "lora" and not machine.gpu else 1
    weights = parameters.weight_bytes
    if half and settings.mode != "lora":
        weights += 2 * parameters.total
    logits = 0
    if has_lm_term:
        trained = settings.lm_head == "copy" or settings.mode == "full"
        block = 4 * _chunk(shape, machine)
        logits = (3 if trained else 2) * block + 3 * 4 * shape.hidden * tokens
        logits += (8 if half else 4) * shape.vocabulary * shape.hidden if trained else 0
    return Memory(
        process=machine.device_process,
        weights=weights,
        gradients=4 * parameters.trained,
        optimiser=8 * parameters.trained,
        activations=round(tokens * _activations(shape, settings, half) * strewn),
        logits=logits,
        step=4 * parameters.trained if machine.gpu else 0,
    )


def _activations(shape: Shape, settings: Training, half: bool) -> int:
    """Return bytes per token."""
    width = 2 if half else 4
    layers = settings.trained_layers or shape.layers
    wide = (4 if settings.mode == "lora" else 6) * shape.hidden
    narrow = 3 * shape.attention + 2 * shape.key_value + 4 * shape.intermediate
    layer = 4 * wide + width * narrow
    if settings.gradient_checkpointing:
        return layers * 4 * shape.hidden + 2 * layer
    return (layers + 1) * layer


def pass_memory(shape: Shape, weight_bytes: int, tokens: int, machine: Machine) -> Memory:
    """Return the peak of a job that only runs a model, as scoring does.

    The largest moment is inside the feed-forward part: 3 I and, with residual stream, normed
    states and the result, 4 D per token.
    """
    activations = tokens * 4 * (3 * shape.intermediate + 4 * shape.hidden)
    return Memory(machine.device_process, weight_bytes, activations=activations)


def cache_memory(
    shape: Shape, weight_bytes: int, tokens: int, settings: Generator, machine: Machine
) -> Memory:
    """Return the peak of a cache job: a pass, then the log-probabilities by blocks of logits.

    A block of logits exists three times, that of the chunk before among them, five times with
    entropies, nine times where a nucleus is sorted out. What the layers took before is counted
    besides, since the allocator gives little of it back.
    """
    blocks = 9 if settings.top_p < 1 else 5 if settings.entropy else 3
    base = pass_memory(shape, weight_bytes, tokens, machine)
    logits = blocks * _chunk(shape, machine) + 2 * shape.hidden * tokens
    return replace(base, logits=4 * logits)


def _chunk(shape: Shape, machine: Machine) -> int:
    """Return how many logits exist at a time."""
    rows = chunk_rows(shape.vocabulary, "cuda" if machine.gpu else "cpu")
    return rows * shape.vocabulary
