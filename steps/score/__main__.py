"""``python -m steps.score``: rewards of any file's responses with any reward model.

An input is a file of groups or pairs as in `steps.groups.files`; its output has one row per
response, see `steps.score.schema.rewards_schema`. Interrupted, the same command continues.
"""

import argparse
import sys
from pathlib import Path

from steps.config import load_experiment
from steps.errors import UserError, run_command
from steps.groups.files import iterate_file
from steps.outputs import check_ending, check_outputs
from steps.provenance import RunCard
from steps.score.model_files import find_model


def main() -> None:
    arguments = _parser().parse_args()
    if len(arguments.input) != len(arguments.output):
        raise UserError(
            f"--input names {len(arguments.input)} files, --output {len(arguments.output)}; give "
            "each input an output of its own"
        )
    for path in arguments.output:
        check_ending(path, ".parquet")
    read = [*arguments.input, Path(arguments.model), arguments.experiment]
    check_outputs([*arguments.output, arguments.card], read)
    experiment = load_experiment(arguments.experiment) if arguments.experiment else None
    settings = {k: str(v) for k, v in vars(arguments).items() if k not in ("card", "experiment")}
    # A model of the hub is known by its commit.
    inputs = [*arguments.input, *(path for path in [Path(arguments.model)] if path.is_dir())]
    card = RunCard("score", settings, path=arguments.card, inputs=inputs, experiment=experiment)
    rows = [_check_rows(path, arguments.on_error == "skip") for path in arguments.input]
    files = find_model(arguments.model, arguments.revision, arguments.trust_remote_code)
    # Imported late: torch takes seconds, and bad input or a missing model has been named by now.
    from steps.score.run import score_inputs

    score_inputs(arguments, rows, files, card)


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
        "--input",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        help="files: .jsonl, .jsonl.gz or .parquet",
    )
    parser.add_argument(
        "--output",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        help="scores to write of each (.parquet)",
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
    parser.add_argument("--experiment", type=Path, help="config/<name>.yaml, for the card alone")
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


if __name__ == "__main__":
    run_command(main)
