"""``python -m steps.score``: rewards of any file's responses with any reward model.

An input is a file of groups or pairs as in `steps.groups.files`; its output has one row per
response, see `steps.score.schema.rewards_schema`. Interrupted, the same command continues.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
import transformers

from steps.code import package_hash
from steps.errors import UserError, run_command
from steps.files import sha256
from steps.groups.files import iterate_file
from steps.provenance import RunCard
from steps.score.parts import Job, Settings, score_file
from steps.score.reward_model import RewardModel, open_reward_model

CODE = (".", "score", "groups", "cache")


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    if len(arguments.input) != len(arguments.output):
        raise UserError("--input and --output must name as many files")
    card = RunCard("score", {k: str(v) for k, v in vars(arguments).items() if k != "card"})
    skip = arguments.on_error == "skip"
    rows = [_check_rows(path, skip) for path in arguments.input]
    model = open_reward_model(
        arguments.model,
        revision=arguments.revision,
        trust_remote_code=arguments.trust_remote_code,
        precision=arguments.precision,
    )
    settings = Settings(
        _max_length(arguments, model),
        arguments.truncate,
        arguments.token_rewards,
        arguments.tokens_per_batch,
    )
    if settings.token_rewards:
        model.check_token_rewards()
    outputs = []
    for path, count, output in zip(arguments.input, rows, arguments.output, strict=True):
        job = Job(model, path, settings, skip)
        written = score_file(job, count, _plan(model, path, settings), output)
        if len(written) > 1:
            skipped = sum(1 for _ in written[1].open(encoding="utf-8"))
            print(
                f"{skipped:,} of {count:,} rows were skipped; {written[1]} says why",
                file=sys.stderr,
            )
        outputs += written
    inputs = [*arguments.input]
    inputs += [model.files.folder] if model.files.commit is None else []
    facts = asdict(model.files.origin) | {"commit": model.files.commit, "layout": model.layout}
    columns = [pq.read_table(path, columns=["n_tokens"])["n_tokens"] for path in arguments.output]
    tokens = sum(column.to_numpy().sum().item() for column in columns)
    card.write(arguments.card, inputs, outputs, tokens=tokens, model=facts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m steps.score",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="model folder, or id on the hub")
    parser.add_argument("--revision", help="branch, tag or commit on the hub")
    parser.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="run the code that comes with the model; on the hub only at a full commit hash",
    )
    parser.add_argument(
        "--input", type=Path, nargs="+", required=True, help="files: .jsonl, .jsonl.gz or .parquet"
    )
    parser.add_argument(
        "--output", type=Path, nargs="+", required=True, help="scores to write of each (parquet)"
    )
    parser.add_argument("--token-rewards", action="store_true", help="write them too")
    parser.add_argument(
        "--on-error",
        choices=["stop", "skip"],
        default="stop",
        help="what to do with a row that cannot be scored; skip lists it in OUTPUT.errors.jsonl",
    )
    parser.add_argument(
        "--max-length", type=_positive, help="tokens of a row (default: the model's context)"
    )
    parser.add_argument(
        "--truncate", action="store_true", help="cut the end off longer rows and mark them"
    )
    parser.add_argument(
        "--tokens-per-batch", type=_positive, default=4096, help="computed at once (default: 4096)"
    )
    parser.add_argument(
        "--precision", choices=["fp32", "bf16"], default="fp32", help="on a GPU (default: fp32)"
    )
    parser.add_argument("--threads", type=_positive, help="of the CPU (default: all cores)")
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


def _check_rows(path: Path, skip: bool) -> int:
    """Read the whole input once, before the long work, and return its number of rows."""
    notes: list[str] = []
    rows = 0
    for _, group in iterate_file(path, notes):
        rows += 1
        if isinstance(group, UserError) and not skip:
            raise group
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return rows


def _max_length(arguments: argparse.Namespace, model: RewardModel) -> int:
    longest = arguments.max_length or model.max_length
    if longest > model.max_length:
        raise UserError(
            f"--max-length is {longest:,}, but {model.name} takes {model.max_length:,} tokens; "
            "lower it"
        )
    return longest


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


if __name__ == "__main__":
    run_command(main)
