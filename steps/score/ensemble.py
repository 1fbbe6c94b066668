"""``python -m steps.score.ensemble``: rewards of an ensemble from the scores of its members.

The rewards at every token, and the final ones, are reduced as ``ensemble.reduce`` of the experiment
says. Everything else is that of the members, which must have read the same tokens.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from steps.config import load_experiment
from steps.errors import UserError, run_command
from steps.objectives.ensemble import reduce_rewards
from steps.outputs import check_outputs
from steps.provenance import RunCard
from steps.score.schema import Origin, read_origin, read_scores, write_score_sets

# What no model changes: the responses, their tokens, and what the generator says of them.
SHARED = ("group_id", "response", "n_tokens", "token_ends", "token_log_probs")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m steps.score.ensemble",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    parser.add_argument(
        "--members", type=Path, nargs="+", required=True, help="folders with each model's scores"
    )
    parser.add_argument("--method", required=True, help="name of the ensemble, for the output")
    parser.add_argument("--sets", nargs="+", required=True, help="names of the sets to score")
    parser.add_argument("--output", type=Path, required=True, help="folder for <set>.parquet")
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")
    arguments = parser.parse_args()
    read = [arguments.experiment, *arguments.members]
    check_outputs([arguments.card], read, arguments.output)

    members: list[Path] = arguments.members
    if len({folder.resolve() for folder in members}) < max(2, len(members)):
        raise UserError("--members must name the folders of at least two models, each once")
    experiment = load_experiment(arguments.experiment)
    reduce = experiment.ensemble.reduce
    settings = {"reduce": reduce, "members": [str(folder) for folder in members]}
    files = {name: [folder / f"{name}.parquet" for folder in members] for name in arguments.sets}
    card = RunCard(
        "ensemble",
        settings,
        path=arguments.card,
        inputs=[path for paths in files.values() for path in paths],
        experiment=experiment,
    )
    scores = {name: join(paths, reduce) for name, paths in files.items()}
    # The scores of an ensemble stand under the first seed.
    origin = join_origins(files[arguments.sets[0]], arguments.method, experiment.seeds[0])
    outputs = write_score_sets(arguments.output, scores, origin)
    card.write(outputs)


def join(paths: list[Path], reduce: str) -> pd.DataFrame:
    """Return the scores of an ensemble, see `steps.score.schema.SCORES`.

    Args:
        paths: the members' scores of one set.
    Raises:
        UserError: a file is missing or damaged, or the members have not read the same tokens.
    """
    # What is not finite stays so; evaluation refuses it, and benchmarks leave its row out.
    members = [read_scores(path, finite=False) for path in paths]
    for path, scores in zip(paths[1:], members[1:], strict=True):
        _check_same_tokens(scores, path, members[0], paths[0])
    rewards = np.stack([scores["reward"] for scores in members]).astype(np.float64)
    token_rewards = np.stack([_flat(scores["token_rewards"]) for scores in members])
    joined = reduce_rewards(token_rewards, reduce).astype(np.float32)
    ends = members[0]["n_tokens"].cumsum().to_numpy()
    return members[0].assign(
        reward=reduce_rewards(rewards, reduce).astype(np.float32),
        token_rewards=np.split(joined, ends[:-1]) if len(ends) else [],
    )


def join_origins(paths: list[Path], method: str, seed: int) -> Origin:
    """Return the origin of an ensemble's scores from those of its members."""
    members = [read_origin(path).sha256 for path in paths]
    return Origin(method, hashlib.sha256("\n".join(members).encode()).hexdigest(), method, seed)


def _flat(lists: pd.Series) -> np.ndarray:
    """The numbers of all responses one after the other."""
    return np.concatenate([*lists, np.empty(0)]).astype(np.float64)


def _check_same_tokens(scores: pd.DataFrame, path: Path, first: pd.DataFrame, other: Path) -> None:
    if len(scores) != len(first):
        raise UserError(
            f"{path} has {len(scores)} responses, {other} has {len(first)}; run the score step of "
            "all members again for the same groups"
        )
    for column in SHARED:
        pairs = zip(scores[column], first[column], strict=True)
        for row, (mine, theirs) in enumerate(pairs):
            if not np.array_equal(mine, theirs):
                raise UserError(
                    f"{path}: row {row}: {column} differs from that of {other}; run the score step "
                    "of all members again for the same groups and cache"
                )


if __name__ == "__main__":
    run_command(main)
