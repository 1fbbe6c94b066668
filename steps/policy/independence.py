"""The action ``check-judge``: a judge must share nothing with the candidates but the backbone.

A reward model that judges policies which were trained on its own picks, or on those of a model with
its seed, prompts or weights, would praise its own mistakes. Where a model comes from is read from
the run card of its training.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from steps.config import Experiment
from steps.errors import UserError
from steps.files import read_json, sha256, write_json
from steps.groups.leaks import compare_sets
from steps.groups.schema import read_groups
from steps.provenance import RunCard


def check_judge(arguments: argparse.Namespace, experiment: Experiment) -> None:
    """Compare a judge with every candidate; write the report if it is independent of all.

    Raises:
        UserError: naming what they share, or a card that is not of its model or prompts.
    """
    if len(arguments.candidates) != len(arguments.candidate_cards):
        raise UserError(
            f"--candidates names {len(arguments.candidates)} models, but --candidate-cards "
            f"{len(arguments.candidate_cards)} cards; give the card of each model's training"
        )
    inputs = [arguments.judge, *arguments.candidates, arguments.judge_groups]
    inputs += [arguments.candidate_groups, *arguments.prompts, arguments.backbone]
    card = RunCard(
        "policy check-judge", {}, path=arguments.card, inputs=inputs, experiment=experiment
    )
    seed = _seed(arguments.judge_card, arguments.judge, arguments.judge_groups)
    prompts = _check_prompts(arguments.judge_groups, arguments.prompts)
    for model, path in zip(arguments.candidates, arguments.candidate_cards, strict=True):
        if _seed(path, model, arguments.candidate_groups) == seed:
            raise UserError(
                f"the judge {arguments.judge} was trained with seed {seed}, as the candidate "
                f"{model} was; give the judge another seed"
            )
    for model in arguments.candidates:
        _check_weights(arguments.judge, model, arguments.backbone)
    facts = {"seed": seed, "prompts": prompts, "candidates": len(arguments.candidates)}
    write_json(arguments.output, facts)
    card.write([arguments.output])


def _seed(path: Path, model: Path, groups: Path) -> int:
    """Return the seed of a training whose card is of this model and these groups."""
    card = read_json(path)
    again = "train the model again"
    if sha256(model) not in card.get("outputs", {}).values():
        raise UserError(f"{path} is not the run card of {model} as it is now; {again}")
    if sha256(groups) not in card.get("inputs", {}).values():
        raise UserError(f"{path} does not name {groups} as the training groups; {again}")
    return card["seed"]


def _check_prompts(judge: Path, others: list[Path]) -> dict[str, Any]:
    """Refuse prompts that the judge was trained on; near-duplicates are counted."""
    own, near = read_groups(judge), {}
    for path in others:
        found = compare_sets(own, read_groups(path))
        equal = found["equal_prompts"]
        if equal["count"]:
            raise UserError(
                f"the judge was trained on {equal['count']:,} prompts of {path}, for example "
                f"'{equal['groups'][0][0]}'; train it on other prompts (train_on)"
            )
        near[str(path)] = {"near_duplicate_prompts": found["near_duplicate_prompts"]["count"]}
    return near


def _check_weights(judge: Path, candidate: Path, backbone: Path) -> None:
    """Refuse a weight that both have and the backbone has not: one was made of the other."""
    mine, theirs, base = (_files(folder) for folder in (judge, candidate, backbone))
    for name in sorted(mine.keys() & theirs.keys()):
        own = _tensor(mine, name)
        if not _equal(own, _tensor(theirs, name)):
            continue
        if name not in base or not _equal(own, _tensor(base, name)):
            raise UserError(
                f"the judge {judge} shares the trained weight '{name}' with the candidate "
                f"{candidate}; judge with a model of its own training"
            )


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def _files(folder: Path) -> dict[str, Path]:
    """Return the file of every tensor of a model folder."""
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as shard:
            found |= dict.fromkeys(shard.keys(), file)
    return found


def _tensor(files: dict[str, Path], name: str) -> torch.Tensor:
    with safe_open(files[name], "pt") as shard:
        return shard.get_tensor(name)
