"""``python -m checks.rewardbench``: score a pair file twice, and compare reward by reward.

`make crosscheck-rewardbench MODEL=DIR INPUT=pairs.jsonl` makes the publisher's environment first.
The publisher's program runs offline in a folder of its own, in float32 and not quantised. Exits
with 1 if a difference above 1e-4 has no known reason.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from checks.rewardbench.compare import SIDES, UNEXPLAINED, compare, our_rewards, summary
from steps.errors import UserError, run_command
from steps.files import atomic_path, write_text
from steps.groups.files import read_file
from steps.groups.schema import PromptGroup
from steps.score.reward_model import open_reward_model

PROGRAM = Path(__file__).with_name("publisher.py")
_INPUT, _MODEL, _OUTPUT = "pairs.jsonl", "model", "results/"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m checks.rewardbench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of `steps.export`")
    parser.add_argument("--input", type=Path, required=True, help="pairs (JSONL, .gz or parquet)")
    parser.add_argument("--output", type=Path, required=True, help="rewards side by side (CSV)")
    parser.add_argument("--python", type=Path, required=True, help="the publisher's environment")
    arguments = parser.parse_args()

    groups = read_pairs_file(arguments.input)
    started = time.monotonic()
    model = open_reward_model(arguments.model)
    ours = our_rewards(model, groups)
    halfway = time.monotonic()
    theirs = publishers_rewards(arguments.python, arguments.model, groups)
    table = compare(ours, theirs)
    with atomic_path(arguments.output) as temporary:
        table.to_csv(temporary, index=False)
    print(summary(table))
    print(f"ours took {halfway - started:.0f} s, theirs {time.monotonic() - halfway:.0f} s")
    if unexplained := int((table["reason"] == UNEXPLAINED).sum()):
        raise UserError(f"{unexplained} rewards differ without a known reason; {arguments.output}")


def read_pairs_file(path: Path) -> list[PromptGroup]:
    """Read a file of pairs, chosen first; a group of more responses is an error."""
    groups = read_file(path)
    for group in groups:
        scores = [response.score for response in group.responses]
        if len(scores) != 2 or None in scores or scores[0] <= scores[1]:
            raise UserError(
                f"{path}: '{group.group_id}' is no pair; give rows with prompt, chosen and rejected"
            )
    return groups


def publishers_rewards(
    python: Path,
    model: Path,
    groups: list[PromptGroup],
    program: Path = PROGRAM,
    options: Sequence[str] = (),
    environment: dict[str, str] | None = None,
) -> pd.DataFrame:
    """Return the rewards of the publisher's program: columns id, chosen, rejected.

    Args:
        program: what is run, which ends in the publisher's program.
        options: further ones of it.
        environment: further variables.
    Raises:
        UserError: its environment is not there, or it failed.
    """
    if not python.is_file():
        raise UserError(f"{python} is not there; run `make crosscheck-rewardbench`")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        # It joins the model's name to its output folder, which an absolute path would leave.
        (work / _MODEL).symlink_to(model.resolve())
        write_text(work / _INPUT, "".join(_message_lists(group) for group in groups))
        command = [
            python.absolute(),
            program,
            "--model",
            _MODEL,
            "--dataset",
            _INPUT,
            "--load_json",
        ]
        command += [
            "--not_quantized",
            "--torch_dtype",
            "float32",
            "--output_dir",
            _OUTPUT,
            *options,
        ]
        own = {"HF_HOME": str(work / "hf"), "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
        done = subprocess.run(
            command, cwd=work, env=os.environ | own | (environment or {}), stdout=sys.stderr
        )
        if done.returncode != 0:
            raise UserError("the publisher's program failed; what it printed is above")
        rows = (work / _OUTPUT / f"{_MODEL}_outputs.jsonl").read_text().splitlines()
    ids = [group.group_id for group in groups]
    scores = [[json.loads(row)[f"scores_{side}"] for side in SIDES] for row in rows]
    return pd.DataFrame(scores, index=pd.Index(ids, name="id"), columns=list(SIDES)).reset_index()


def _message_lists(group: PromptGroup) -> str:
    """Return a line of the publisher's input: both answers as whole conversations."""
    user = {"role": "user", "content": group.prompt}
    conversations = {
        side: [user, {"role": "assistant", "content": response.text}]
        for side, response in zip(SIDES, group.responses, strict=True)
    }
    return json.dumps(conversations) + "\n"


if __name__ == "__main__":
    run_command(main)
