"""Over-optimisation: reward and accuracy of the best-of-N pick against its KL divergence."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steps.config import Experiment
from steps.evaluate.analyses.over_optimisation import GOLD, PROXY
from steps.evaluate.best_of_n import kl_of_best_of
from steps.report.figure_style import (
    draw_band,
    legend_below,
    message_figure,
    method_lines,
    new_figure,
)
from steps.report.load import Evaluation
from steps.report.names import method_title, set_title

PANELS = {
    PROXY: "Proxy: gain in reward\n(deviations within problems)",
    GOLD: "Gold: accuracy of the pick",
}


def over_optimisation_figure(evaluation: Evaluation, experiment: Experiment) -> Figure:
    """Draw proxy and gold side by side, on the same problems at every N."""
    name = evaluation.widest_set
    first = experiment.methods[0]
    if name is None or not len(evaluation.curve(first, name, GOLD)):
        return message_figure("No evaluation set has known correctness: no over-optimisation curve")
    figure = new_figure(2.59)
    panels = figure.subplots(1, 2)
    for panel, (metric, label) in zip(panels, PANELS.items(), strict=True):
        _draw(panel, evaluation, experiment, name, metric)
        panel.set_ylabel(label)
    legend_below(figure, panels[:1], columns=4)
    level = f"{100 * experiment.evaluation.confidence:g}%"
    count = evaluation.curve(first, name, GOLD)["n"].iloc[0]
    figure.suptitle(
        f"{set_title(name).capitalize()} ({count} problems); bands: {level} bootstrap interval "
        "over problems"
    )
    return figure


def _draw(
    panel: Axes, evaluation: Evaluation, experiment: Experiment, name: str, metric: str
) -> None:
    lines = method_lines(experiment)
    for method in experiment.methods:
        curve = evaluation.curve(method, name, metric)
        divergences = [kl_of_best_of(int(drawn)) for drawn in curve.index]
        bands = len(experiment.methods)
        draw_band(panel, divergences, curve, lines[method], method_title(method), bands)
    panel.set_xlabel("KL = log N - (N - 1) / N  (nats)")
    above = panel.secondary_xaxis("top")
    above.set_xticks(divergences, [f"N={int(drawn)}" for drawn in curve.index])
    above.tick_params(length=0)
    above.spines["top"].set_visible(False)
