"""Length: pair accuracy by which response is longer, and how long the picks of best-of-N are."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde

from steps.config import Experiment
from steps.evaluate.analyses.length import LONGER, PICKED, SHORTER
from steps.evaluate.best_of_n import groups_with, pick_probabilities
from steps.evaluate.load import EvaluationSet
from steps.report.figure_style import (
    BASELINE_LINES,
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

WIDTH_OF_GROUP = 0.5
POINTS = 200
MARKERS_PER_LINE = 8


def lengths_figure(
    evaluation: Evaluation, sets: list[EvaluationSet], experiment: Experiment
) -> Figure:
    """Draw accuracy by length, mean length of the picks, and the density of their lengths."""
    name = evaluation.widest_set
    if name is None:
        return message_figure("No evaluation set has pairs: no lengths to compare")
    figure = new_figure(2.59)
    panels = figure.subplots(1, 3)
    _draw_accuracy(panels[0], evaluation, experiment, name)
    _draw_picked(panels[1], evaluation, experiment, name)
    _draw_densities(panels[2], [each for each in sets if each.compares], experiment)
    legend_below(figure, list(panels), columns=4)
    level = f"{100 * experiment.evaluation.confidence:g}%"
    figure.suptitle(f"{set_title(name).capitalize()}; {level} bootstrap intervals over problems")
    return figure


def _draw_accuracy(panel: Axes, evaluation: Evaluation, experiment: Experiment, name: str) -> None:
    lines = method_lines(experiment)
    methods = experiment.methods
    panel.axhline(0.5, color=GREY, lw=0.6)
    for place, method in enumerate(methods):
        shift = WIDTH_OF_GROUP * ((place + 0.5) / len(methods) - 0.5)
        for x, key in enumerate((SHORTER, LONGER)):
            estimate = evaluation.curve(method, name, key.metric)
            draw_point(panel, x + shift, estimate, lines[method])
    panel.set_xticks([0, 1], ["shorter", "longer"])
    panel.set_xlim(-0.6, 1.6)
    panel.set_xlabel("The chosen response is")
    panel.set_ylabel("Pair accuracy")


def _draw_picked(panel: Axes, evaluation: Evaluation, experiment: Experiment, name: str) -> None:
    lines = method_lines(experiment)
    for method in experiment.methods:
        curve = evaluation.curve(method, name, PICKED)
        bands = len(experiment.methods)
        draw_band(panel, curve.index, curve, lines[method], method_title(method), bands)
    for method in ("random", "longest", "shortest"):
        curve = evaluation.curve(method, name, PICKED)
        style = {"color": GREY, "linestyle": BASELINE_LINES[method], "lw": 0.9}
        panel.plot(curve.index, curve["value"], label=method_title(method), **style)
    numbers = [int(drawn) for drawn in curve.index]
    panel.set_xscale("log", base=2)
    panel.set_xticks(numbers, [str(drawn) for drawn in numbers])
    panel.minorticks_off()
    panel.set_xlabel("N")
    panel.set_ylabel("Mean tokens of the pick")


def _draw_densities(panel: Axes, sets: list[EvaluationSet], experiment: Experiment) -> None:
    """Gaussian kernel densities of the lengths of picks at the largest N; grey: any candidate."""
    lines = method_lines(experiment)
    candidates = picked_lengths(sets, None, experiment)
    if not len(candidates[0]):
        panel.set_visible(False)
        return
    tokens = np.linspace(0, 1.1 * candidates[0].max(), POINTS)
    panel.plot(
        tokens, _density(*candidates, tokens), color=GREY, ls=BASELINE_LINES["random"], lw=0.9
    )
    for place, method in enumerate(experiment.methods):
        every = POINTS // MARKERS_PER_LINE
        density = _density(*picked_lengths(sets, method, experiment), tokens)
        markers = (place * every // len(experiment.methods), every)
        panel.plot(tokens, density, markevery=markers, **lines[method])
    panel.set_yticks([])
    panel.set_xlabel("Tokens of the pick, largest N")
    panel.set_ylabel("Density")


def picked_lengths(
    sets: list[EvaluationSet], method: str | None, experiment: Experiment
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lengths of the candidates and how probably each is picked at the largest N.

    Args:
        method: its runs count equally; None for a random pick.
    """
    lengths, weights = [np.empty(0)], [np.empty(0)]
    for eval_set in sets:
        numbers, groups = groups_with(eval_set, experiment.evaluation.best_of)
        tokens = eval_set.any_scores["n_tokens"].to_numpy(np.float64)
        seeds = experiment.seeds_of(method) if method else []
        runs = [eval_set.rewards(method, seed) for seed in seeds] or [np.zeros(len(tokens))]
        for rows in map(eval_set.rows, groups):
            picks = [pick_probabilities(rewards[rows], numbers[-1]) for rewards in runs]
            lengths.append(tokens[rows])
            weights.append(np.mean(picks, axis=0))
    return np.concatenate(lengths), np.concatenate(weights)


def _density(lengths: np.ndarray, weights: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    if np.ptp(lengths[weights > 0]) == 0:
        return np.full(len(tokens), np.nan)  # one length has no density
    return gaussian_kde(lengths, weights=weights)(tokens)
