"""RewardBench (arXiv 2403.13787): pairs in 23 subsets, four sections, one score."""

import numpy as np
import pandas as pd

from steps.benchmarks.benchmark import Benchmark, Subset
from steps.benchmarks.numbers import Number, average, shares
from steps.benchmarks.rewardbench_subsets import (
    PRIOR_ROWS,
    PRIOR_SECTION,
    PRIOR_WEIGHT,
    ROWS,
    SECTION_WEIGHT,
    WEIGHTS,
)
from steps.benchmarks.rows import text
from steps.groups.schema import PromptGroup, Response


def _group(row: dict, place: str) -> PromptGroup:
    subset = text(row, "subset", place)
    responses = (
        Response(text(row, "chosen", place), correct=True, model=row["chosen_model"]),
        Response(text(row, "rejected", place), correct=False, model=row["rejected_model"]),
    )
    prompt = text(row, "prompt", place)
    return PromptGroup(f"{subset}/{row['id']}", "rewardbench", subset, prompt, responses)


def _means(items: pd.DataFrame) -> pd.DataFrame:
    """The accuracy of each subset: the chosen response has the strictly higher reward."""
    rewards = np.array(items["rewards"].tolist(), dtype=np.float64)
    rewards = rewards.reshape(-1, 2)  # [prompts, 2], also where no prompt counts
    wins = (rewards[:, 0] > rewards[:, 1]).astype(np.float64)
    return shares(items["subset"].to_numpy(), items["id"].to_numpy(), wins)


def _numbers(present: set[str]) -> list[Number]:
    """Subsets, sections, score; where a prior set has items, those and the old overall too."""
    subsets = {s: Number(s, {s: 1.0}, (s,)) for rows in ROWS.values() for s in rows}
    sections = [
        average(section, [subsets[s] for s in rows], [WEIGHTS.get(s, n) for s, n in rows.items()])
        for section, rows in ROWS.items()
    ]
    numbers = [*subsets.values(), *sections, average("Score", sections)]
    if present & PRIOR_ROWS.keys():
        prior_sets = [Number(s, {s: 1.0}, (s,)) for s in PRIOR_ROWS]
        prior = average(PRIOR_SECTION, prior_sets)
        weights = [SECTION_WEIGHT] * len(sections) + [PRIOR_WEIGHT]
        overall = average(f"Score with {PRIOR_SECTION}", [*sections, prior], weights)
        numbers += [*prior_sets, prior, overall]
    return numbers


REWARDBENCH = Benchmark(
    name="rewardbench",
    title="RewardBench",
    hub_id="allenai/reward-bench",
    split="filtered",
    columns=("id", "subset", "prompt", "chosen", "chosen_model", "rejected", "rejected_model"),
    revision=None,  # no full hash is known that surely holds the present rows
    subsets={s: Subset(section, n) for section, rows in ROWS.items() for s, n in rows.items()}
    | {s: Subset(PRIOR_SECTION, n, core=False) for s, n in PRIOR_ROWS.items()},
    group=_group,
    means=_means,
    numbers=_numbers,
    headline=(*ROWS, "Score"),
    optional=("chosen_model", "rejected_model"),
)
