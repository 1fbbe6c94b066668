"""What ``python -m steps.score`` does once its input and its model are known to be there."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers

from steps.code import package_hash
from steps.files import sha256
from steps.provenance import RunCard
from steps.score.model_files import ModelFiles
from steps.score.parts import Job, Settings, score_file
from steps.score.reward_model import RewardModel, open_files

CODE = (".", "score", "groups", "cache")


def score_inputs(
    arguments: argparse.Namespace, rows: list[int], files: ModelFiles, card: RunCard
) -> None:
    """Score every input into its output, and write the card.

    Args:
        arguments: of the command line.
        rows: of each input.
    """
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    model = open_files(files, arguments.trust_remote_code, arguments.precision)
    settings = Settings(
        model.limit(arguments.max_length),
        arguments.truncate,
        arguments.token_rewards,
        arguments.tokens_per_batch,
    )
    if settings.token_rewards:
        model.check_token_rewards()
    outputs, tokens = [], 0
    for path, count, output in zip(arguments.input, rows, arguments.output, strict=True):
        job = Job(model, path, settings, arguments.on_error == "skip")
        written = score_file(job, count, _plan(model, path, settings), output)
        if written.skipped:
            print(
                f"{written.skipped:,} of {count:,} rows were skipped; {written.files[1]} says why",
                file=sys.stderr,
            )
        outputs += written.files
        tokens += written.tokens
    facts = asdict(files.origin) | {"commit": files.commit, "layout": model.layout}
    card.write(outputs, tokens=tokens, model=facts)


def _plan(model: RewardModel, path: Path, settings: Settings) -> dict[str, Any]:
    """Return everything that the bytes of the scores depend on."""
    return {
        "model": asdict(model.files.origin),
        "input": [str(path), sha256(path)],  # the path is in ids and messages
        "settings": asdict(settings),
        "layout": model.layout,
        "dtype": str(model.dtype),
        "device": model.model.device.type,
        "threads": torch.get_num_threads(),
        "code": {package: package_hash(package) for package in CODE},
        "versions": [torch.__version__, transformers.__version__],
    }
