"""The action ``reference``: log-probabilities of all pairs' responses under the starting policy.

They stay the same throughout a training and for every reward model that picks from the same
samples, so each response is computed once for all pairs files of an experiment.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from steps.backbone import load_policy, load_tokenizer, weights_hash
from steps.chat import ChatFormat
from steps.config import Experiment
from steps.config.dpo import Dpo
from steps.device import best_device, working_dtype
from steps.errors import UserError
from steps.files import atomic_path
from steps.groups.schema import read_table
from steps.policy.log_probabilities import log_probabilities
from steps.policy.schema import read_policy_pairs
from steps.policy.tokens import Sequence, encode_pairs
from steps.provenance import RunCard

REFERENCE = pa.schema(
    [
        ("key", pa.string()),  # of prompt, response and chat format, `steps.cache.key.text_key`
        ("log_probability", pa.float64()),  # of the response and its end of turn, in nats
        ("tokens", pa.int32()),  # of the response, its end of turn included
    ]
)
WEIGHTS = b"weights"  # metadata: `weights_hash` of the model
COMPUTED = b"computed"  # metadata: `_arithmetic` of the settings


def write_reference(arguments: argparse.Namespace, experiment: Experiment) -> None:
    """Compute each distinct response of the pairs files once, and write them, atomically."""
    settings = experiment.policy.dpo
    card = RunCard(
        "policy reference",
        settings.model_dump(),
        path=arguments.card,
        inputs=[arguments.model, *arguments.pairs],
        experiment=experiment,
    )
    chat = ChatFormat(load_tokenizer(arguments.model, experiment))
    distinct: dict[str, Sequence] = {}
    left_out: Counter = Counter()
    for path in arguments.pairs:
        pairs, dropped = encode_pairs(path, read_policy_pairs(path), chat, settings.max_tokens)
        distinct |= {sequence.key: sequence for pair in pairs for sequence in pair}
        left_out += dropped
    sequences = list(distinct.values())
    model = load_policy(arguments.model, experiment, policy_dtype(settings)).to(best_device())
    values = log_probabilities(model, sequences, settings.tokens_per_batch, settings.precision)
    rows = pd.DataFrame(
        {
            "key": [s.key for s in sequences],
            "log_probability": values,
            "tokens": [len(s.response) for s in sequences],
        }
    )
    table = pa.Table.from_pandas(rows, schema=REFERENCE, preserve_index=False)
    facts = {WEIGHTS: weights_hash(arguments.model), COMPUTED: _arithmetic(settings)}
    table = table.replace_schema_metadata(facts)
    with atomic_path(arguments.output) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    print(f"{arguments.output}: {len(rows):,} responses", file=sys.stderr)
    facts = {"tokens": sum(map(len, sequences)), "left_out": dict(left_out)}
    card.write([arguments.output], **facts)


def policy_dtype(settings: Dpo):
    """Return the dtype of the weights: those that are trained themselves must be float32."""
    return working_dtype(settings.precision if settings.lora is not None else "fp32")


def _arithmetic(settings: Dpo) -> str:
    """Say in which dtypes a training computes; the reference must be computed in the same."""
    return f"{policy_dtype(settings)} weights and {working_dtype(settings.precision)} products"


def read_reference(
    path: Path, model: Path, sequences: list[Sequence], settings: Dpo
) -> list[float]:
    """Return the reference log-probability of each sequence.

    Raises:
        UserError: the file is of another model or in another precision, or lacks a sequence.
    """
    table = read_table(path, REFERENCE)
    metadata = pq.read_schema(path).metadata or {}
    again = "run `python -m steps.policy reference` again with this model and these pairs"
    if metadata.get(WEIGHTS, b"").decode() != weights_hash(model):
        raise UserError(f"{path} was computed with other weights than those of {model}; {again}")
    wanted = _arithmetic(settings)
    if metadata.get(COMPUTED, b"").decode() != wanted:
        raise UserError(f"{path} was not computed with {wanted}, as this training does; {again}")
    known = dict(zip(table["key"].to_pylist(), table["log_probability"].to_pylist(), strict=True))
    missing = sum(sequence.key not in known for sequence in sequences)
    if missing:
        raise UserError(f"{path} lacks {missing:,} responses of the pairs; {again}")
    return [known[sequence.key] for sequence in sequences]
