"""The action ``kl``: how far a policy has moved, on samples of its own.

For responses y that the policy wrote at temperature 1 and top-p 1, the mean of
log policy(y | x) - log reference(y | x) estimates KL(policy || reference), in nats per response.
Both models read the very tokens that the policy drew, with the control token that ended them, if
one did: a response that was cut at the limit of new tokens has none, so the divergence is that of
what was written. One bias is left: samples without a text, and those that spell a control token in
letters, are not in the file.
"""

import argparse

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from steps.backbone import load_policy, load_tokenizer
from steps.cache.key import text_key
from steps.chat import ChatFormat
from steps.config import Experiment
from steps.config.sampling import Sampling
from steps.device import best_device
from steps.errors import UserError
from steps.files import atomic_path
from steps.groups.schema import PromptGroup, read_groups
from steps.policy.log_probabilities import log_probabilities
from steps.policy.log_ratios import LOG_RATIOS
from steps.policy.reference import policy_dtype
from steps.policy.tokens import Sequence
from steps.provenance import RunCard
from steps.sample.settings import asked
from steps.sample.written import Tokens, read_written


def write_log_ratios(arguments: argparse.Namespace, experiment: Experiment) -> None:
    """Compute both log-probabilities of every sample of a policy, and write them, atomically."""
    settings = experiment.policy.dpo
    sampling = experiment.policy.sampling[arguments.use]
    if (sampling.temperature, sampling.top_p) != (1.0, 1.0):
        raise UserError(
            f"{arguments.experiment}: policy.sampling.{arguments.use} is not sampled at "
            "temperature 1 and top_p 1, so its samples do not tell a divergence; use others"
        )
    card = RunCard(
        "policy kl",
        settings.model_dump(),
        path=arguments.card,
        inputs=[arguments.model, arguments.reference_model, arguments.samples],
        experiment=experiment,
    )
    groups = read_groups(arguments.samples)
    chat = ChatFormat(load_tokenizer(arguments.reference_model, experiment))
    sequences = _sequences(groups, read_written(arguments.samples, groups), chat, sampling)
    columns = {}
    for column, folder in (
        ("log_policy", arguments.model),
        ("log_reference", arguments.reference_model),
    ):
        model = load_policy(folder, experiment, policy_dtype(settings)).to(best_device())
        columns[column] = log_probabilities(
            model, sequences, settings.tokens_per_batch, settings.precision
        )
    keys = [(r.model, g.group_id, k) for g in groups for k, r in enumerate(g.responses)]
    rows = pd.DataFrame(keys, columns=LOG_RATIOS.names[:3]).assign(**columns)
    with atomic_path(arguments.output) as temporary:
        table = pa.Table.from_pandas(rows, schema=LOG_RATIOS, preserve_index=False)
        pq.write_table(table, temporary, compression="zstd")
    card.write([arguments.output], tokens=2 * sum(map(len, sequences)))


def _sequences(
    groups: list[PromptGroup], written: Tokens, chat: ChatFormat, sampling: Sampling
) -> list[Sequence]:
    sequences = []
    for group, own in zip(groups, written, strict=True):
        text = asked(group.prompt, sampling)
        prompt = chat.encode_prompt(text)
        for response, ids in zip(group.responses, own, strict=True):
            key = text_key(chat.fingerprint(), text, response.text)
            sequences.append(Sequence(key, prompt, ids))
    return sequences
