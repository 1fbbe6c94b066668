"""The action ``train``: one policy, from its checked inputs to the model folder."""

import argparse
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from transformers import PreTrainedTokenizerBase

from steps.backbone import load_policy, load_tokenizer, weights_hash
from steps.chat import ChatFormat
from steps.code import package_hash
from steps.config import Experiment
from steps.device import best_device
from steps.errors import UserError
from steps.files import atomic_path, sha256
from steps.policy.reference import policy_dtype, read_reference
from steps.policy.schema import read_policy_pairs
from steps.policy.tokens import encode_pairs
from steps.policy.trainer import PolicyTrainer
from steps.provenance import RunCard
from steps.stop import stop_requests
from steps.train.adapters import merge_lora
from steps.train.run import run_to_the_end
from steps.unfinished import work_folder


@stop_requests()
def train_policy(arguments: argparse.Namespace, experiment: Experiment) -> None:
    """Train, going on from the last checkpoint, then write the model folder and the log."""
    if not 0 <= arguments.seed < 2**32:
        raise UserError(f"--seed must lie between 0 and 2^32 - 1 (it is {arguments.seed})")
    settings = experiment.policy.dpo
    card = RunCard(
        "policy train",
        settings.model_dump(),
        arguments.seed,
        path=arguments.card,
        inputs=[arguments.model, arguments.pairs, arguments.reference],
        experiment=experiment,
    )
    tokenizer = load_tokenizer(arguments.model, experiment)
    pairs, left_out = encode_pairs(
        arguments.pairs,
        read_policy_pairs(arguments.pairs),
        ChatFormat(tokenizer),
        settings.max_tokens,
    )
    for what, count in left_out.items():
        print(f"{arguments.pairs}: {count:,} {what} left out", file=sys.stderr)
    flat = [sequence for pair in pairs for sequence in pair]
    reference = read_reference(arguments.reference, arguments.model, flat, settings)
    work = work_folder(arguments.work, arguments.output)
    trainer = PolicyTrainer(
        model=load_policy(arguments.model, experiment, policy_dtype(settings)).to(best_device()),
        tokenizer=tokenizer,
        pairs=pairs,
        reference=list(zip(reference[::2], reference[1::2], strict=True)),
        settings=settings,
        work=work,
        seed=arguments.seed,
        name=f"train policy {arguments.output.name}",
    )

    def run() -> dict[str, Any]:
        own = {"seed": arguments.seed, "pairs": sha256(arguments.pairs)} | settings.model_dump()
        own |= {"reference": sha256(arguments.reference), "model": weights_hash(arguments.model)}
        packages = (".", "policy", "train")
        return own | {"code": {package: package_hash(package) for package in packages}}

    def write() -> None:
        _write(trainer, tokenizer, arguments.output, arguments.training_log)
        outputs = [arguments.output, arguments.training_log]
        facts = {"pairs": len(pairs), "left_out": dict(left_out)}
        facts["tokens"] = settings.epochs * sum(map(len, flat))
        card.write(outputs, **facts)

    run_to_the_end(trainer, work, run, write)


def _write(
    trainer: PolicyTrainer, tokenizer: PreTrainedTokenizerBase, output: Path, log: Path
) -> None:
    """Write a plain model that loads without trl and peft, and the log."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    model = merge_lora(model) if hasattr(model, "merge_and_unload") else model.to("cpu")
    with atomic_path(output) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    with atomic_path(log) as temporary:
        pd.DataFrame(trainer.rows()).to_csv(temporary, index=False, float_format="%.6g")
