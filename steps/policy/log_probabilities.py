"""Log-probabilities of whole responses under a causal language model.

Computed by trl's own fused head on padded rows, as `DPOTrainer` computes those of the policy: the
two then differ by nothing but the weights, in every precision.
"""

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel
from trl.trainer.utils import add_fused_lm_head

from steps.policy.tokens import Sequence
from steps.progress import Progress

IGNORED = -100  # label of a token that is not scored


def log_probabilities(
    model: PreTrainedModel, sequences: list[Sequence], tokens_per_batch: int, precision: str
) -> list[float]:
    """Return the summed log-probability, in nats, of each response given its prompt.

    Args:
        model: on its device; its forward is given trl's fused head.
        tokens_per_batch: of a batch, padding included; a longer sequence stands alone.
        precision: ``bf16`` computes under autocast on a GPU, as training does.
    """
    add_fused_lm_head(model)
    model.eval()
    progress = Progress("log-probabilities", sum(map(len, sequences)), "tokens")
    autocast = torch.autocast(
        model.device.type, torch.bfloat16, precision == "bf16" and model.device.type == "cuda"
    )
    sums = [0.0] * len(sequences)
    with torch.no_grad(), autocast:
        for batch in _batches(sequences, tokens_per_batch):
            values = _forward(model, [sequences[i] for i in batch])
            for place, value in zip(batch, values, strict=True):
                sums[place] = value
            progress.advance(sum(len(sequences[i]) for i in batch))
    return sums


def _batches(sequences: list[Sequence], tokens_per_batch: int) -> list[list[int]]:
    """Return the places of the sequences in batches of similar lengths."""
    batches: list[list[int]] = []
    for place in sorted(range(len(sequences)), key=lambda i: (len(sequences[i]), i)):
        # The longest of a batch is its last one.
        size = len(sequences[place])
        if batches and (len(batches[-1]) + 1) * size <= tokens_per_batch:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches


def _forward(model: PreTrainedModel, sequences: list[Sequence]) -> list[float]:
    def padded(rows: list[list[int]], filler: int) -> torch.Tensor:
        tensors = [torch.tensor(row, device=model.device) for row in rows]
        return pad_sequence(tensors, batch_first=True, padding_value=filler)

    output = model(
        input_ids=padded([s.prompt + s.response for s in sequences], 0),
        attention_mask=padded([[1] * len(s) for s in sequences], 0),
        labels=padded([[IGNORED] * len(s.prompt) + s.response for s in sequences], IGNORED),
        use_cache=False,
        fused_lm_head=True,
    )
    return output.log_probs.float().sum(1).tolist()
