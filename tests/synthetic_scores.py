"""A made-up experiment on disk: groups, pairs, scores and training logs, without any model."""

from pathlib import Path

import numpy as np
import pandas as pd

from steps.evaluate.load import EvaluationSet
from steps.groups.schema import PromptGroup, Response, write_groups
from steps.pairs.schema import write_pairs
from steps.score.schema import Origin, write_scores

CATEGORIES = {
    "in_distribution": ("Number-Theory", "Polynomial"),
    "out_of_distribution": ("Combinatorics", "Sequence_x"),
    "first_wrong_step": ("Number-Theory",),
}
EXPERIMENT = """\
title: Synthetic
backbone: {{source: tiny}}
data: {{source: champ}}
selection: {{max_tokens: 64, right_per_prompt: 4, wrong_per_prompt: 4}}
methods: [orm, grm_release, icrm]
seeds: {seeds}
training: {{trained_layers: 1, epochs: 1, groups_per_step: 1, learning_rate: 1e-4}}
evaluation: {{best_of: [1, 2, 4, 8, 16], bootstrap_samples: {samples}}}
"""
METHODS = ("orm", "grm_release", "icrm")


def write_experiment(
    folder: Path,
    problems: int = 6,
    responses: int = 4,
    seeds: tuple[int, ...] = (0, 1),
    samples: int = 200,
    words: int = 12,
    origins: dict[tuple[str, int], Origin] | None = None,
) -> tuple[Path, Path]:
    """Write an experiment; return its YAML file and its results folder.

    Args:
        origins: the models that the scores of some (method, seed) shall come from.
    """
    origins = origins or {}
    results = folder / "results"
    draw = np.random.default_rng(0)
    for name, categories in CATEGORIES.items():
        annotated = name == "first_wrong_step"
        groups = [
            make_group(f"{name}-{k}", categories[k % len(categories)], responses, words, annotated)
            for k in range(problems)
        ]
        write_groups(results / "groups" / f"{name}.parquet", groups)
        write_pairs(results / "pairs" / f"{name}.parquet", make_pairs(groups))
        for method in METHODS:
            for seed in seeds:
                scores = make_scores(groups, skill=1.0, draw=draw)
                path = results / "scores" / method / f"seed{seed}/{name}.parquet"
                write_scores(path, scores, origins.get((method, seed), origin_of(method, seed)))
    for method in METHODS:
        for seed in seeds:
            write_log(results / "training" / method / f"seed{seed}.csv", draw)
    yaml = folder / "synthetic.yaml"
    yaml.write_text(EXPERIMENT.format(seeds=list(seeds), samples=samples))
    return yaml, results


def origin_of(method: str, seed: int) -> Origin:
    """The model that made-up scores claim to come from."""
    return Origin(f"{method} seed {seed}", f"hash of {method} {seed}", method, seed)


def make_group(
    name: str, category: str, responses: int, words: int, annotated: bool = False
) -> PromptGroup:
    """The first half of the responses is right; of the wrong ones, words 2 and 3 are the error."""
    made = []
    for k in range(responses):
        text = " ".join(f"w{k}{i}" for i in range(words + 5 * k % 3))
        right = k < responses // 2
        span = annotated and not right
        made.append(
            Response(
                text,
                correct=right,
                model="ab"[k % 2],
                hinted=annotated and k % 2 == 1,
                annotated=annotated,
                error_start=text.index(f"w{k}2") if span else None,
                error_end=text.index(f" w{k}4") if span else None,
            )
        )
    return PromptGroup(name, "synthetic", category, f"Question {name}?", tuple(made))


def make_pairs(groups: list[PromptGroup]) -> pd.DataFrame:
    """Every right response against every wrong one."""
    rows = [
        (group.group_id, i, j, better.model == worse.model, None)
        for group in groups
        for i, better in enumerate(group.responses)
        for j, worse in enumerate(group.responses)
        if better.correct and not worse.correct
    ]
    return pd.DataFrame(rows, columns=["group_id", "chosen", "rejected", "same_model", "margin"])


def make_scores(groups: list[PromptGroup], skill: float, draw: np.random.Generator) -> pd.DataFrame:
    """One token per word and one for the end of turn; the reward drifts to +-skill with noise."""
    rows = []
    for group in groups:
        for number, response in enumerate(group.responses):
            words = response.text.split(" ")
            lengths = [len(word) + (i > 0) for i, word in enumerate(words)]
            ends = np.cumsum([*lengths, 0])
            goal = skill if response.correct else -skill
            drift = np.linspace(0, goal, len(ends)) + draw.normal(0, 0.3, len(ends)).cumsum() / 3
            rows.append(
                {
                    "group_id": group.group_id,
                    "response": number,
                    "reward": np.float32(drift[-1] + draw.normal(0, 1)),
                    "n_tokens": len(ends),
                    "token_rewards": drift.astype(np.float32),
                    "token_log_probs": -draw.exponential(0.5, len(ends)).astype(np.float32),
                    "token_ends": ends.astype(np.int32),
                }
            )
            rows[-1]["token_rewards"][-1] = rows[-1]["reward"]
    return pd.DataFrame(rows)


def evaluation_set(
    labels: dict[str, list[bool | None]], rewards: list[float], lengths: list[int] | None = None
) -> EvaluationSet:
    """A set with the given correctness per problem and rewards of all responses."""
    groups = [
        PromptGroup(
            name,
            "test",
            f"category {name[0]}",
            "Why?",
            tuple(
                Response(f"text {k}", correct=c, model="ab"[k % 2]) for k, c in enumerate(labels_)
            ),
        )
        for name, labels_ in labels.items()
    ]
    scores = pd.DataFrame(
        {
            "group_id": [g.group_id for g in groups for _ in g.responses],
            "response": [k for g in groups for k in range(len(g.responses))],
            "reward": np.array(rewards, dtype=np.float32),
            "n_tokens": lengths or [3] * len(rewards),
        }
    )
    return EvaluationSet("test", groups, make_pairs(groups), {("orm", 0): scores})


def write_log(path: Path, draw: np.random.Generator, steps: int = 60) -> None:
    """A training log with the columns of the train step."""
    step = np.arange(1, steps + 1)
    loss = 0.7 - 0.3 * step / steps + draw.normal(0, 0.08, steps)
    accuracy = np.clip(0.5 + 0.3 * step / steps + draw.normal(0, 0.2, steps), 0, 1)
    log = pd.DataFrame(
        {
            "step": step,
            "pairs": 12,
            "loss": loss,
            "pair_accuracy": accuracy,
            "gradient_norm": 1.0,
            "learning_rate": 1e-4,
            "bradley_terry": loss,
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    log.to_csv(path, index=False, float_format="%.6g")
