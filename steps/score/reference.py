"""``python -m steps.score.reference``: scores of a reward model of others, all sets in one process.

A text that is longer than the model's context is cut at the end, and marked.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import torch

from steps.config import load_experiment
from steps.config.schema import HubBackbone, model_folder
from steps.errors import UserError, nearest, run_command
from steps.files import atomic_path
from steps.groups.schema import PromptGroup, read_groups
from steps.progress import Progress
from steps.provenance import RunCard
from steps.score.reference_scores import REFERENCE_SCORES, write_reference_scores
from steps.score.reward_model import RewardModel, open_reward_model
from steps.score.stream import score_stream


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m steps.score.reference",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    parser.add_argument("--model", required=True, help="key under `reference_models`")
    parser.add_argument("--groups", type=Path, nargs="+", required=True, help="files to score")
    parser.add_argument(
        "--output", type=Path, nargs="+", required=True, help="file to write for each of them"
    )
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")
    arguments = parser.parse_args()

    if len(arguments.groups) != len(arguments.output):
        raise UserError("--groups and --output must name as many files")
    experiment = load_experiment(arguments.experiment)
    models = experiment.reference_models
    if arguments.model not in models:
        hint = nearest(arguments.model, list(models))
        raise UserError(f"--model: no reference model is called '{arguments.model}'; {hint}")
    torch.set_num_threads(experiment.threads)
    model, settings = models[arguments.model], experiment.training
    card = RunCard("score reference", {"name": arguments.model} | model.model_dump())
    trust = isinstance(model, HubBackbone) and model.trust_remote_code
    folder = model_folder(model)
    reward_model = open_reward_model(folder, trust_remote_code=trust, precision=settings.precision)
    # All sets are scored before one is written: an error leaves the scores as they were.
    scores = []
    for path in arguments.groups:
        title = f"score {arguments.model} {path.stem}"
        groups = read_groups(path)
        scores.append(score_set(reward_model, groups, settings.tokens_per_batch, title))
    with ExitStack() as stack:
        for path, table in zip(arguments.output, scores, strict=True):
            write_reference_scores(stack.enter_context(atomic_path(path)), table)
    card.write(arguments.card, [folder, *arguments.groups], arguments.output)


def score_set(
    reward_model: RewardModel, groups: list[PromptGroup], tokens_per_batch: int, title: str
) -> pd.DataFrame:
    """Return the reward of every response, columns `REFERENCE_SCORES`."""
    progress = Progress(title, len(groups), "prompts")
    rows = []
    for scored in score_stream(
        reward_model, groups, truncate=True, tokens_per_batch=tokens_per_batch
    ):
        columns = zip(scored.rewards, scored.n_tokens, scored.truncated, strict=True)
        rows += [(scored.group_id, response, *row) for response, row in enumerate(columns)]
        progress.advance(1)
    return pd.DataFrame(rows, columns=REFERENCE_SCORES.names)


if __name__ == "__main__":
    run_command(main)
