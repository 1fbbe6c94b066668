"""Prefix predictiveness: what the reward of a prefix tells of the final one, and of the pair."""

from matplotlib.figure import Figure

from steps.config import Experiment
from steps.evaluate.analyses.prefixes import CORRELATION, PAIR_ACCURACY, PERCENTAGES
from steps.report.figure_style import (
    GREY,
    draw_band,
    legend_below,
    message_figure,
    method_lines,
    new_figure,
)
from steps.report.load import Evaluation
from steps.report.names import method_title, set_title

# The label of each panel, and what a prefix that says nothing has.
PANELS = {
    CORRELATION: ("Correlation with the final reward\n(within problems)", 0.0),
    PAIR_ACCURACY: ("Pair accuracy of prefixes", 0.5),
}


def prefixes_figure(evaluation: Evaluation, experiment: Experiment) -> Figure:
    """Draw correlation and pair accuracy against the share of the response that is read."""
    name = evaluation.widest_set
    if name is None:
        return message_figure("No evaluation set has pairs: no prefixes to compare")
    figure = new_figure(2.59)
    panels = figure.subplots(1, 2)
    lines = method_lines(experiment)
    for panel, (metric, (label, chance)) in zip(panels, PANELS.items(), strict=True):
        panel.axhline(chance, color=GREY, lw=0.6)
        for method in experiment.methods:
            curve = evaluation.curve(method, name, metric)
            bands = len(experiment.methods)
            draw_band(panel, curve.index, curve, lines[method], method_title(method), bands)
        panel.set_xticks(PERCENTAGES)
        panel.set_xlabel("Share of the response that is read (%)")
        panel.set_ylabel(label)
    legend_below(figure, panels[:1], columns=4)
    level = f"{100 * experiment.evaluation.confidence:g}%"
    figure.suptitle(
        f"{set_title(name).capitalize()}; bands: {level} bootstrap interval over problems; "
        "grey: chance"
    )
    return figure
