"""The action ``judge``: the rewards that one judge gives to the answers of all policies."""

import argparse
from collections.abc import Iterator

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from steps.config import Experiment
from steps.config.dpo import HubJudge
from steps.errors import UserError, nearest
from steps.files import atomic_path
from steps.groups.schema import PromptGroup, read_groups
from steps.policy.judged import JUDGED
from steps.provenance import RunCard
from steps.remote_code import REWARD_MODEL, refuse_remote_code
from steps.score.reward_model import RewardModel, open_reward_model
from steps.score.stream import score_stream


def write_judged(arguments: argparse.Namespace, experiment: Experiment) -> None:
    """Score the samples of every policy with one judge, and write the rewards, atomically."""
    evaluation = experiment.policy.evaluation
    judge = evaluation.judges.get(arguments.judge)
    if judge is None:
        known = sorted(evaluation.judges) or ["none"]
        raise UserError(
            f"--judge: policy.evaluation.judges has no '{arguments.judge}'; "
            f"{nearest(arguments.judge, known)}"
        )
    card = RunCard(
        "policy judge",
        judge.model_dump(),
        path=arguments.card,
        inputs=[arguments.model, *arguments.samples],
        experiment=experiment,
    )
    hub = isinstance(judge, HubJudge)
    if hub and not judge.trust_remote_code:
        key = f"policy.evaluation.judges.{arguments.judge}"
        consent = f"set {key}.trust_remote_code: true with {key}.revision pinned to its commit"
        refuse_remote_code(arguments.model, REWARD_MODEL, f"the judge {judge.id}", consent)
    model = open_reward_model(
        arguments.model,
        trust_remote_code=hub and judge.trust_remote_code,
        precision=judge.precision if hub else experiment.training.precision,
    )
    longest = judge.max_length if hub else None
    rows = pd.DataFrame(
        [
            row
            for path in arguments.samples
            for row in _judged(model, read_groups(path), evaluation.tokens_per_batch, longest)
        ],
        columns=[*JUDGED.names, "tokens"],
    )
    with atomic_path(arguments.output) as temporary:
        table = pa.Table.from_pandas(rows, schema=JUDGED, preserve_index=False)
        pq.write_table(table, temporary, compression="zstd")
    facts = {"judge": model.name, "judge_files": model.content_hash}
    facts["tokens"] = int(rows["tokens"].sum())
    card.write([arguments.output], **facts)


def _judged(
    model: RewardModel, groups: list[PromptGroup], tokens_per_batch: int, longest: int | None
) -> Iterator[tuple[str, str, int, float, int]]:
    scored = score_stream(model, groups, max_length=longest, tokens_per_batch=tokens_per_batch)
    for group, each in zip(groups, scored, strict=True):
        for place, response in enumerate(group.responses):
            score, tokens = float(each.rewards[place]), int(each.n_tokens[place])
            yield response.model, group.group_id, place, score, tokens
