"""How much the reward changes from token to token, by the generator's probability of the token."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steps.config import Experiment
from steps.evaluate.analyses.token_changes import CHANGE_AT, CORRELATION, RELATIVE_CHANGE
from steps.report.figure_style import (
    GREY,
    draw_band,
    draw_point,
    legend_below,
    message_figure,
    method_lines,
    new_figure,
)
from steps.report.load import Evaluation
from steps.report.names import method_title, set_title


def token_changes_figure(evaluation: Evaluation, experiment: Experiment) -> Figure:
    """Draw the change by probability, its correlation with it, and its size."""
    name = evaluation.widest_set
    if name is None:
        return message_figure("No evaluation set has pairs: no token changes to compare")
    figure = new_figure(2.59)
    panels = figure.subplots(1, 3, width_ratios=[2, 1, 1])
    lines = method_lines(experiment)
    panels[0].axhline(1, color=GREY, lw=0.6)
    for method in experiment.methods:
        curve = evaluation.curve(method, name, CHANGE_AT)
        bands = len(experiment.methods)
        draw_band(panels[0], curve.index, curve, lines[method], method_title(method), bands)
    panels[0].set_xlim(0, 1)
    panels[0].set_xlabel("Generator's probability of token t+1")
    panels[0].set_ylabel("|r[t+1] - r[t]| / its mean")
    _draw_points(panels[1], evaluation, experiment, name, CORRELATION.metric)
    panels[1].axhline(0, color=GREY, lw=0.6)
    panels[1].set_ylabel("Correlation of |r[t+1] - r[t]|\nand probability")
    _draw_points(panels[2], evaluation, experiment, name, RELATIVE_CHANGE.metric)
    panels[2].set_ylim(bottom=0)
    panels[2].set_ylabel("Mean |r[t+1] - r[t]|\n/ deviation of rewards")
    legend_below(figure, panels[:1], columns=4)
    level = f"{100 * experiment.evaluation.confidence:g}%"
    figure.suptitle(f"{set_title(name).capitalize()}; {level} bootstrap intervals over problems")
    return figure


def _draw_points(
    panel: Axes, evaluation: Evaluation, experiment: Experiment, name: str, metric: str
) -> None:
    lines = method_lines(experiment)
    for place, method in enumerate(experiment.methods):
        draw_point(panel, place, evaluation.curve(method, name, metric), lines[method])
    panel.set_xticks([])
    panel.set_xlim(-0.6, len(experiment.methods) - 0.4)
