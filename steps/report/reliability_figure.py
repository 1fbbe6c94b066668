"""Reliability: how often a preference is right, against the probability that the model gives it."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steps.config import Experiment
from steps.evaluate.analyses.calibration import ACCURACY, CONFIDENCE
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

PANELS_PER_ROW = 3


def reliability_figure(evaluation: Evaluation, experiment: Experiment) -> Figure:
    """Draw one panel per evaluation set with pairs; the diagonal is perfect calibration."""
    sets = evaluation.pair_sets
    if not sets:
        return message_figure("No evaluation set has pairs: no calibration")
    columns = min(len(sets), PANELS_PER_ROW)
    rows = -(-len(sets) // columns)
    figure = new_figure(0.19 + 2.6 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, name in zip(panels, sets, strict=False):
        _draw(panel, evaluation, experiment, name)
    for panel in panels[len(sets) :]:
        panel.set_visible(False)
    for panel in panels[::columns]:
        panel.set_ylabel("Share of right preferences")
    legend_below(figure, panels[:1], columns=4)
    level = f"{100 * experiment.evaluation.confidence:g}%"
    figure.suptitle(f"Bins of the confidence; bands: {level} bootstrap interval over problems")
    return figure


def _draw(panel: Axes, evaluation: Evaluation, experiment: Experiment, name: str) -> None:
    lines = method_lines(experiment)
    panel.plot([0.5, 1], [0.5, 1], color=GREY, lw=0.9, ls=(0, (3, 3)), label="Calibrated")
    for method in experiment.methods:
        accuracy = evaluation.curve(method, name, ACCURACY)
        confidence = evaluation.curve(method, name, CONFIDENCE)["value"]
        bands = len(experiment.methods)
        draw_band(panel, confidence, accuracy, lines[method], method_title(method), bands)
    panel.set_title(set_title(name))
    panel.set_xlabel("Confidence σ(|margin|)")
    panel.set_xlim(0.5, 1)
    panel.set_ylim(0, 1)
