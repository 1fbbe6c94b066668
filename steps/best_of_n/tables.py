"""The tables of best-of-N: scores of the picks, picks against picks, and lengths of the picks."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from steps.best_of_n.candidates import Candidates
from steps.best_of_n.measure import OUTCOMES, outcome_sums, pick_sums, picking_rules
from steps.config import Experiment
from steps.config.schema import Evaluation
from steps.evaluate.best_of_n import kl_of_best_of, pick_probabilities
from steps.evaluate.csv_files import write_csv_files
from steps.evaluate.statistics import Estimate, estimate_ratios
from steps.evaluate.tables import comparisons
from steps.files import atomic_path
from steps.report.best_of_n_table import best_of_n_markdown, comparisons_latex, scores_latex

_VALUES = ["value", "ci_low", "ci_high", "n", "seeds"]
SCORE_COLUMNS = ["judge", "method", "drawn", "kl", "metric", *_VALUES]
COMPARISON_COLUMNS = ["judge", "method", "reference", "drawn", "metric", *_VALUES, "p_value"]
LENGTH_COLUMNS = ["method", "n_tokens", "weight"]


def best_of_n_tables(candidates: Candidates, experiment: Experiment) -> dict[str, pd.DataFrame]:
    """Return scores.csv, comparisons.csv and pick_lengths.csv.

    n counts prompts, seeds the trained models behind a number (0 for a rule that is not trained).
    Intervals are over prompts (`steps.evaluate.statistics`), the same resamples for all methods.
    """
    rules = list(dict.fromkeys(method for method, _ in picking_rules(candidates)))
    pairs = comparisons(rules, experiment.methods)
    seeds = Counter(method for method, _ in candidates.rewards)
    scores, differences = _scores(pick_sums(candidates), pairs, seeds, experiment.evaluation)
    outcomes = _outcomes(candidates, pairs, seeds, experiment.evaluation)
    return {
        "scores.csv": pd.DataFrame(scores, columns=SCORE_COLUMNS),
        "comparisons.csv": pd.DataFrame([*outcomes, *differences], columns=COMPARISON_COLUMNS),
        "pick_lengths.csv": _lengths(candidates),
    }


def write_best_of_n(folder: Path, tables: dict[str, pd.DataFrame], experiment: Experiment) -> None:
    """Write the tables, and what people read of them, atomically."""
    scores, comparisons_ = tables["scores.csv"], tables["comparisons.csv"]
    texts = {
        "best_of_n.md": best_of_n_markdown(scores, comparisons_, experiment),
        "best_of_n.tex": scores_latex(scores, experiment),
        "best_of_n_comparisons.tex": comparisons_latex(comparisons_, experiment),
    }
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        write_csv_files(temporary, tables)
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8")


def _scores(
    sums: pd.DataFrame, pairs: list[tuple[str, str]], seeds: Counter, settings: Evaluation
) -> tuple[list[dict], list[dict]]:
    """Estimate every metric of every method at every N, and differences of judges' scores."""
    scores, differences = [], []
    for (judge, metric), part in sums.groupby(["judge", "metric"], sort=False):
        # The mean over a method's seeds, by prompt.
        cells = part.groupby(["method", "drawn", "group_id"], sort=False)
        means = cells[["numerator", "denominator"]].mean().unstack("group_id")
        keys = list(means.index)
        compared = [
            ((method, drawn), (reference, drawn))
            for method, reference in pairs
            for drawn in dict.fromkeys(part["drawn"])
            if metric == "score"
        ]
        values, gaps = estimate_ratios(
            means["numerator"].to_numpy(),
            means["denominator"].to_numpy(),
            [(keys.index(a), keys.index(b)) for a, b in compared],
            settings,
        )
        n = means["numerator"].shape[1]
        for (method, drawn), value in zip(keys, values, strict=True):
            row = {"judge": judge, "method": method, "drawn": drawn, "kl": kl_of_best_of(drawn)}
            scores.append(row | {"metric": metric} | _columns(value, n, seeds[method]))
        for ((method, drawn), (reference, _)), gap in zip(compared, gaps, strict=True):
            row = {"judge": judge, "method": method, "reference": reference, "drawn": drawn}
            row |= {"metric": "score_difference", "p_value": gap.p_value}
            differences.append(row | _columns(gap, n, _fewest(seeds, method, reference)))
    return scores, differences


def _outcomes(
    candidates: Candidates, pairs: list[tuple[str, str]], seeds: Counter, settings: Evaluation
) -> list[dict]:
    """Estimate the shares of wins, ties and losses of every two methods at every N."""
    found = list(outcome_sums(candidates, pairs))
    # All at once: one set of resamples serves all of them.
    shares = np.concatenate([each for *_, each in found])
    values, _ = estimate_ratios(shares, np.ones_like(shares), [], settings)
    keys = [
        {"judge": judge, "method": method, "reference": reference, "drawn": drawn, "metric": metric}
        for judge, method, reference, drawn, _ in found
        for metric in OUTCOMES
    ]
    return [
        key | _columns(value, shares.shape[1], _fewest(seeds, key["method"], key["reference"]))
        for key, value in zip(keys, values, strict=True)
    ]


def _columns(estimate: Estimate, n: int, seeds: int) -> dict[str, float]:
    return {
        "value": estimate.value,
        "ci_low": estimate.ci_low,
        "ci_high": estimate.ci_high,
        "n": n,
        "seeds": seeds,
    }


def _fewest(seeds: Counter, method: str, reference: str) -> int:
    """The fewer of two methods' trained models; a rule has none, and none is missing."""
    return min(seeds[name] for name in (method, reference) if name in seeds)


def _lengths(candidates: Candidates) -> pd.DataFrame:
    """Return how probable each length is among each method's picks of the largest N."""
    drawn = candidates.drawn[-1]
    rows = [
        (method, int(length), probability)
        for (method, _), rewards in picking_rules(candidates).items()
        for own, lengths in zip(rewards, candidates.n_tokens, strict=True)
        for length, probability in zip(lengths, pick_probabilities(own, drawn), strict=True)
    ]
    table = pd.DataFrame(rows, columns=LENGTH_COLUMNS)
    weights = table.groupby(["method", "n_tokens"], sort=True)["weight"].sum()
    shares = weights / weights.groupby("method").transform("sum")
    return shares[shares > 0].reset_index()
