"""Items of benchmarks, made by hand or at random."""

import numpy as np
import pandas as pd

from steps.benchmarks.benchmark import Benchmark
from steps.benchmarks.numbers import point_values

Row = tuple[str, str, int, list[float]]  # id, subset, n_correct, rewards


def make_table(benchmark: Benchmark, rows: list[Row]) -> pd.DataFrame:
    """Return items, columns `steps.benchmarks.items.ITEMS`."""
    return pd.DataFrame(
        [
            {
                "id": item,
                "subset": subset,
                "section": benchmark.subsets[subset].section,
                "n_correct": n_correct,
                "rewards": rewards,
                "n_tokens": [7] * len(rewards),
                "truncated": False,
                "left_out": None,
            }
            for item, subset, n_correct, rewards in rows
        ]
    )


def leave_out(items: pd.DataFrame, place: int, reason: str) -> pd.DataFrame:
    """Return the items with one of them left out."""
    rows = items.to_dict("records")
    rows[place] |= {"n_correct": 0, "rewards": [], "n_tokens": [], "left_out": reason}
    return pd.DataFrame(rows)


def random_rows(
    benchmark: Benchmark, rng: np.random.Generator, most_rows: int | None = None
) -> list[Row]:
    """Return random items of all core subsets; rewards are small integers, so that many tie.

    Args:
        most_rows: of a subset; None = as many as are published.
    """
    rows = []
    for name, subset in benchmark.subsets.items():
        if not subset.core or subset.correct is None:
            continue
        for number in range(min(subset.rows, most_rows or subset.rows)):
            rewards = rng.integers(-3, 4, subset.responses).astype(float).tolist()
            rows.append((f"{name}/{number}", name, subset.correct, rewards))
    return rows


def random_ties(rng: np.random.Generator, questions: int, fewest_correct: int) -> list[Row]:
    """Return random items of Ties; some questions lack one of their two prompts."""
    rows = []
    for k in range(questions):
        for kind, fewest, most in (("tied", fewest_correct, 5), ("ref", 1, 1)):
            if k and rng.random() < 0.1:
                continue  # question 0 always has both
            n_correct = int(rng.integers(fewest, most + 1))
            rewards = np.concatenate(
                [rng.integers(0, 4, n_correct), rng.integers(-3, 2, rng.integers(1, 6))]
            )
            # Half of the questions with rewards that hardly ever tie.
            rewards = rewards + (k % 2) * rng.normal(size=len(rewards)).round(2)
            rows.append((f"Ties/{kind}:{k}", "Ties", n_correct, rewards.astype(float).tolist()))
    return rows


def values(benchmark: Benchmark, items: pd.DataFrame) -> dict[str, float]:
    """Return every number of the benchmark by name."""
    numbers = benchmark.numbers(set(items["subset"]))
    found = point_values(benchmark.means(items), numbers)
    return {number.name: value for number, value in zip(numbers, found, strict=True)}
