"""RewardBench 2 (arXiv 2506.01937): one right response among four, and Ties.

Each completion is scored by itself. In five subsets the item counts 1/m if the right completion,
which comes first, has the highest reward, where m completions share it, and 0 otherwise. The sixth
subset, Ties, has a rule of its own (`steps.benchmarks.ties`).
"""

from functools import partial

import numpy as np
import pandas as pd

from steps.benchmarks.benchmark import Benchmark, Subset
from steps.benchmarks.numbers import Number, average, shares
from steps.benchmarks.rows import CHANGED, text, texts
from steps.benchmarks.ties import TIES, TIES_WEIGHTS, TiesRule, ties_means
from steps.errors import UserError
from steps.groups.schema import PromptGroup, Response

# Rows of the split `test`, by the data set's card.
BEST_OF_FOUR = {"Factuality": 475, "Precise IF": 160, "Math": 183, "Safety": 450, "Focus": 495}
TIES_ROWS = 102


def _group(row: dict, place: str) -> PromptGroup:
    subset = text(row, "subset", place)
    chosen, rejected = texts(row, "chosen", place), texts(row, "rejected", place)
    counts = (row["num_correct"], row["num_incorrect"], row["total_completions"])
    if counts != (len(chosen), len(rejected), len(chosen) + len(rejected)):
        raise UserError(
            f"{place} has {len(chosen)} chosen and {len(rejected)} rejected completions, which are "
            f"not its num_correct, num_incorrect and total_completions {counts}; {CHANGED}"
        )
    responses = (
        *(Response(each, correct=True) for each in chosen),
        *(Response(each, correct=False) for each in rejected),
    )
    prompt = text(row, "prompt", place)
    return PromptGroup(f"{subset}/{row['id']}", "rewardbench2", subset, prompt, responses)


def share_of_the_best(rewards: np.ndarray) -> float:
    """Return 1/m if the first of ``rewards`` [K] is among the m highest, else 0."""
    best = np.asarray(rewards) == np.max(rewards)
    return float(best[0] / best.sum())


def _means(items: pd.DataFrame, ties_rule: TiesRule) -> pd.DataFrame:
    ties = items["subset"] == TIES
    others = items[~ties]
    hits = np.array([share_of_the_best(rewards) for rewards in others["rewards"]], dtype=np.float64)
    table = shares(others["subset"].to_numpy(), others["id"].to_numpy(), hits)
    if not ties.any():
        return table
    return pd.concat([table, ties_means(items[ties], ties_rule)], ignore_index=True)


def _numbers(present: set[str]) -> list[Number]:
    """The six subsets and their plain mean."""
    subsets = [Number(subset, {subset: 1.0}, (subset,)) for subset in BEST_OF_FOUR]
    subsets.append(Number(TIES, TIES_WEIGHTS, (TIES,)))
    return [*subsets, average("Score", subsets)]


def rewardbench2(ties_rule: TiesRule = "present") -> Benchmark:
    """Return the benchmark with one of the two published rules for Ties."""
    return Benchmark(
        name="rewardbench2",
        title="RewardBench 2",
        hub_id="allenai/reward-bench-2",
        split="test",
        columns=(
            *("id", "subset", "prompt", "chosen", "rejected"),
            *("num_correct", "num_incorrect", "total_completions"),
        ),
        revision="7ff08853b0d5686e79b13fda8677024f566a104a",
        subsets={s: Subset(s, rows, 1, 4) for s, rows in BEST_OF_FOUR.items()}
        | {TIES: Subset(TIES, TIES_ROWS, None, None)},
        group=_group,
        means=partial(_means, ties_rule=ties_rule),
        numbers=_numbers,
        headline=(*BEST_OF_FOUR, TIES, "Score"),
    )
