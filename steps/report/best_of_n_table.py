"""The tables of best-of-N (T4, T5): what picks are worth to each judge, and picks against picks."""

import pandas as pd

from steps.config import Experiment
from steps.config.dpo import EXACT
from steps.report.latex import tabular, two_lines
from steps.report.main_table import MISSING, ONE_RUN, Cell
from steps.report.markdown import bullets, grid
from steps.report.names import method_title
from steps.report.policy_conclusions import pick_conclusions
from steps.report.policy_table import estimate_cell

COLUMNS = {
    "win": "win",
    "tie": "tie",
    "lose": "lose",
    "win_rate": "win rate",
    "score_difference": "score difference",
}
WITH_INTERVAL = {"win_rate", "score_difference"}

Line = tuple[list[str], list[Cell], list[str]]  # names, numbers, how many they rest on


def score_lines(scores: pd.DataFrame) -> dict[str, list[Line]]:
    """Return for each judge the lines ([method], mean score at each N, [seeds])."""
    table = scores[scores["metric"] == "score"]
    lines: dict[str, list[Line]] = {}
    for (judge, method), part in table.groupby(["judge", "method"], sort=False):
        cells = [estimate_cell(row, True) for _, row in part.sort_values("drawn").iterrows()]
        seeds = part["seeds"].iloc[0]
        title = judge_title(judge, part["n"].iloc[0])
        lines.setdefault(title, []).append(
            ([method_title(method)], cells, [str(seeds) if seeds else MISSING])
        )
    return lines


def comparison_lines(comparisons: pd.DataFrame, experiment: Experiment) -> dict[str, list[Line]]:
    """Return for each judge the lines ([methods, N], `COLUMNS`, [seeds]) of trained methods."""
    trained = comparisons[comparisons["reference"].isin(experiment.methods)]
    lines: dict[str, list[Line]] = {}
    for (judge, method, reference, drawn), part in trained.groupby(
        ["judge", "method", "reference", "drawn"], sort=False
    ):
        rows = part.set_index("metric")
        cells = [estimate_cell(rows.loc[metric], metric in WITH_INTERVAL) for metric in COLUMNS]
        names = [f"{method_title(method)} against {method_title(reference)}", str(drawn)]
        size = [str(part["seeds"].iloc[0])]
        lines.setdefault(judge_title(judge, part["n"].iloc[0]), []).append((names, cells, size))
    return lines


def judge_title(judge: str, prompts: int) -> str:
    """What is shown of a judge, in words."""
    what = "accuracy of the pick" if judge == EXACT else f"judge {judge}"
    return f"{what[0].upper()}{what[1:]} ({prompts} prompts)"


def best_of_n_markdown(
    scores: pd.DataFrame, comparisons: pd.DataFrame, experiment: Experiment
) -> str:
    """Return best_of_n.md: for each judge the picks' worth, picks against picks; conclusions."""
    met = comparison_lines(comparisons, experiment)
    parts = [f"# {experiment.title}: best-of-N\n"]
    for title, lines in score_lines(scores).items():
        parts += [f"## {title}\n", _grid(_score_header(scores), lines)]
        if title in met:
            parts.append(_grid(["picks of", "N", *COLUMNS.values(), "seeds"], met[title]))
    parts.append(bullets(_reading(scores, experiment)))
    return "\n".join([*parts, *pick_conclusions(comparisons, experiment)])


def scores_latex(scores: pd.DataFrame, experiment: Experiment) -> str:
    """Return the worth of the picks as a tabular (package booktabs); its accuracies are T5."""
    columns = "l" + "c" * scores["drawn"].nunique() + "r"
    return _latex(experiment, columns, _score_header(scores), score_lines(scores))


def comparisons_latex(comparisons: pd.DataFrame, experiment: Experiment) -> str:
    """Return T4, picks against picks, as a tabular (package booktabs)."""
    header = ["picks of", "$N$", *COLUMNS.values(), "seeds"]
    lines = comparison_lines(comparisons, experiment)
    return _latex(experiment, "lr" + "c" * len(COLUMNS) + "r", header, lines)


def _score_header(scores: pd.DataFrame) -> list[str]:
    return ["method", *(f"N = {drawn}" for drawn in sorted(scores["drawn"].unique())), "seeds"]


def _grid(header: list[str], lines: list[Line]) -> str:
    return grid(header, [[*names, *map(str, cells), *size] for names, cells, size in lines])


def _latex(
    experiment: Experiment, columns: str, header: list[str], lines: dict[str, list[Line]]
) -> str:
    sections = {
        title: [row for line in own for row in two_lines(*line)] for title, own in lines.items()
    }
    return tabular(f"{experiment.title}, best-of-N", columns, header, sections)


def _reading(scores: pd.DataFrame, experiment: Experiment) -> list[str]:
    settings = experiment.evaluation
    missing = sorted(set(settings.best_of) - set(scores["drawn"]))
    lines = [
        "A number is the exact expectation over all draws of N from a prompt's samples, of the "
        "same prompts at every N; samples without a text are not among them.",
        "Win, tie and lose: both methods pick among the same N samples, every seed of one meets "
        "every seed of the other, and a tie is half a win in the win rate.",
        f"Brackets are {100 * settings.confidence:g}% intervals over prompts "
        f"({settings.bootstrap_samples:,} bootstrap resamples), not corrected for their number. "
        "They do not say how far another training run would lie.",
        f"{ONE_RUN} one run of a method only: another training may give another number.",
    ]
    if missing:
        lines.append(
            f"N = {', '.join(map(str, missing))} of evaluation.best_of is not shown: no prompt has "
            "that many samples with a text; raise policy.sampling.best_of_n.samples."
        )
    return lines
