"""Best-of-N curves: accuracy of the pick against N, one panel per evaluation set with pairs."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steps.config import Experiment
from steps.report.figure_style import (
    BASELINE_LINES,
    GREY,
    draw_band,
    legend_below,
    message_figure,
    method_lines,
    new_figure,
)
from steps.report.load import Evaluation
from steps.report.names import method_title, set_title

PANELS_PER_ROW = 3


def best_of_n_figure(evaluation: Evaluation, experiment: Experiment) -> Figure:
    """Draw the curves of the trained methods with intervals, and of three baselines."""
    sets = [name for name in evaluation.pair_sets if evaluation.best_of(name)]
    if not sets:
        return message_figure("No evaluation set has known correctness: no best-of-N")
    columns = min(len(sets), PANELS_PER_ROW)
    rows = -(-len(sets) // columns)
    figure = new_figure(0.19 + 2.4 * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for panel, name in zip(panels, sets, strict=False):
        _draw(panel, evaluation, experiment, name)
    for panel in panels[len(sets) :]:
        panel.set_visible(False)
    for panel in panels[::columns]:
        panel.set_ylabel("Accuracy of the pick")
    legend_below(figure, panels[:1], columns=3)
    level = f"{100 * experiment.evaluation.confidence:g}%"
    figure.suptitle(f"Bands: {level} bootstrap interval over problems")
    return figure


def _draw(panel: Axes, evaluation: Evaluation, experiment: Experiment, name: str) -> None:
    numbers = evaluation.best_of(name)
    lines = method_lines(experiment)
    for method in experiment.methods:
        table = _curve(evaluation, method, name, numbers)
        bands = len(experiment.methods)
        draw_band(panel, numbers, table, lines[method], method_title(method), bands)
    for method, line in BASELINE_LINES.items():
        table = _curve(evaluation, method, name, numbers)
        panel.plot(
            numbers, table["value"], label=method_title(method), color=GREY, linestyle=line, lw=0.9
        )
    counts = {n: evaluation.cell("random", name, f"best_of_{n}")["n"] for n in numbers}
    few, many = min(counts.values()), max(counts.values())
    problems = f"{many} problems" if few == many else f"{few} to {many} problems"
    panel.set_title(f"{set_title(name)} ({problems})")
    panel.set_xscale("log", base=2)
    panel.set_xticks(numbers, [str(n) for n in numbers])
    panel.minorticks_off()
    panel.set_xlabel("N")


def _curve(evaluation: Evaluation, method: str, name: str, numbers: list[int]) -> pd.DataFrame:
    """The rows of one method, one for each N; NaN where it has none."""
    table = evaluation.metrics
    rows = table[(table["method"] == method) & (table["eval_set"] == name)].set_index("metric")
    return rows.reindex([f"best_of_{n}" for n in numbers])
