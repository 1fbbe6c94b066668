"""Figures of best-of-N under judges: curves, gain against divergence, lengths of the picks."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steps.best_of_n.measure import NO_JUDGE
from steps.best_of_n.tables import LENGTH_COLUMNS, SCORE_COLUMNS
from steps.config import Experiment
from steps.files import atomic_path
from steps.report.csv_file import read_csv
from steps.report.figure_style import (
    BASELINE_LINES,
    GREY,
    band_opacity,
    figure_style,
    legend_below,
    method_lines,
    new_figure,
    save,
)
from steps.report.length_densities import draw_length_densities
from steps.report.names import method_title


def write_figures(tables: Path, experiment: Experiment, output: Path) -> None:
    """Write best_of_n_judged, over_optimisation and pick_lengths as PNG and PDF, atomically."""
    scores = read_csv(tables / "scores.csv", SCORE_COLUMNS).fillna({"judge": NO_JUDGE})
    lengths = read_csv(tables / "pick_lengths.csv", LENGTH_COLUMNS)
    with figure_style(), atomic_path(output) as temporary:
        temporary.mkdir()
        save(judged_figure(scores, experiment), temporary, "best_of_n_judged")
        save(over_optimisation_figure(scores, experiment), temporary, "over_optimisation")
        largest = int(scores["drawn"].max())
        save(lengths_figure(lengths, largest, experiment), temporary, "pick_lengths")


def judged_figure(scores: pd.DataFrame, experiment: Experiment) -> Figure:
    """Draw the judges' scores of the picks against N, one panel per judge."""
    table = scores[scores["metric"] == "score"]
    figure, panels = _panels(table)
    for judge, panel in panels.items():
        own = table[table["judge"] == judge]
        _draw_methods(panel, own, "drawn", experiment)
        for method, line in BASELINE_LINES.items():
            curve = own[own["method"] == method]
            panel.plot(
                curve["drawn"],
                curve["value"],
                label=method_title(method),
                color=GREY,
                linestyle=line,
                lw=0.9,
            )
        numbers = sorted(own["drawn"].unique())
        panel.set_xscale("log", base=2)
        panel.set_xticks(numbers, [str(n) for n in numbers])
        panel.minorticks_off()
        panel.set_xlabel("N")
        panel.set_ylabel("Judge's score of the pick")
    return _finished(figure, panels, table, experiment)


def over_optimisation_figure(scores: pd.DataFrame, experiment: Experiment) -> Figure:
    """Draw the gain in the judge's score, and in the model's own reward, against divergence."""
    table = scores[scores["metric"] == "gain"]
    own_gains = scores[scores["metric"] == "reward_gain"]
    figure, panels = _panels(table)
    for judge, panel in panels.items():
        gains = table[table["judge"] == judge]
        _draw_methods(panel, gains, "kl", experiment)
        if gains["value"].isna().all():
            why = f"'{judge}' scores all answers\nto a prompt alike: no gain to draw"
            panel.text(0.5, 0.5, why, transform=panel.transAxes, ha="center", va="center")
        for method in _present(own_gains, experiment):
            curve = own_gains[own_gains["method"] == method]
            panel.plot(
                curve["kl"],
                curve["value"],
                color=method_lines(experiment)[method]["color"],
                lw=0.8,
                alpha=0.6,
                label=f"{method_title(method)}: its own reward",
            )
        panel.set_xlabel("KL from the sampler, log N - (N - 1) / N (nats)")
        panel.set_ylabel("Gain of the pick\n(s.d. within a prompt)")
    return _finished(figure, panels, table, experiment)


def lengths_figure(lengths: pd.DataFrame, drawn: int, experiment: Experiment) -> Figure:
    """Draw the density of the picks' lengths, and of all samples."""
    figure = new_figure(2.4)
    panel = figure.subplots()
    draw_length_densities(panel, lengths, "random", "All samples", experiment)
    legend_below(figure, [panel], columns=4)
    figure.suptitle(f"Lengths of the picks of best-of-{drawn}")
    return figure


def _present(table: pd.DataFrame, experiment: Experiment) -> list[str]:
    """The trained methods that a table has, in the experiment's order."""
    return [method for method in experiment.methods if method in set(table["method"])]


def _panels(table: pd.DataFrame) -> tuple[Figure, dict[str, Axes]]:
    judges = list(table["judge"].unique())
    figure = new_figure(2.6)
    return figure, dict(zip(judges, figure.subplots(1, len(judges), squeeze=False)[0], strict=True))


def _draw_methods(panel: Axes, table: pd.DataFrame, across: str, experiment: Experiment) -> None:
    lines = method_lines(experiment)
    methods = _present(table, experiment)
    opacity = band_opacity(len(methods))
    for method in methods:
        curve = table[table["method"] == method]
        style = lines[method]
        panel.fill_between(
            curve[across],
            curve["ci_low"],
            curve["ci_high"],
            color=style["color"],
            alpha=opacity,
            lw=0,
        )
        panel.plot(curve[across], curve["value"], label=method_title(method), zorder=3, **style)


def _finished(
    figure: Figure, panels: dict[str, Axes], table: pd.DataFrame, experiment: Experiment
) -> Figure:
    for judge, panel in panels.items():
        n = int(table.loc[table["judge"] == judge, "n"].iloc[0])
        panel.set_title(f"Judge: {judge} ({n} prompts)")
    legend_below(figure, list(panels.values()), columns=3)
    level = f"{100 * experiment.evaluation.confidence:g}%"
    figure.suptitle(f"Bands: {level} bootstrap interval over prompts")
    return figure
