"""Reward against KL: the mean score of every policy over how far it moved from its start."""

from pathlib import Path

import numpy as np
import pandas as pd

from steps.config import Experiment
from steps.policy.compare import methods_of
from steps.policy.names import REFERENCE
from steps.report.figure_style import (
    GREY,
    figure_style,
    legend_below,
    method_lines,
    new_figure,
    save,
)
from steps.report.names import method_title

PANELS_PER_ROW = 3
# Points may coincide, so their markers are open, and each method's smaller than the one before.
LARGEST, SMALLEST = 9.0, 3.5  # points


def save_reward_kl(seeds: pd.DataFrame, experiment: Experiment, folder: Path) -> None:
    """Draw one panel per judge, one point per policy; the starting policy lies at KL 0."""
    scores = seeds[seeds["metric"] == "score"]
    judges = list(dict.fromkeys(scores["judge"]))
    moved = seeds[seeds["metric"] == "kl"].set_index(["policy", "seed"])["value"]
    with figure_style():
        columns = min(len(judges), PANELS_PER_ROW)
        rows = -(-len(judges) // columns)
        figure = new_figure(0.19 + 2.4 * rows)
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        lines = method_lines(experiment)
        methods = methods_of(experiment)
        sizes = np.linspace(LARGEST, SMALLEST, len(methods))
        for panel, judge in zip(panels, judges, strict=False):
            values = scores[scores["judge"] == judge].set_index(["policy", "seed"])["value"]
            start = values.loc[REFERENCE].iloc[0]
            panel.axhline(start, color=GREY, lw=0.9, ls=(0, (3, 3)), label="starting policy")
            for method, size in zip(methods, sizes, strict=True):
                look = {"linestyle": "none", "markersize": size, "markerfacecolor": "none"}
                style = lines[method] | look
                panel.plot(
                    moved.loc[method], values.loc[method], label=method_title(method), **style
                )
            panel.set_title(judge)
            panel.set_xlabel("KL from the starting policy (nats per answer)")
        for panel in panels[len(judges) :]:
            panel.set_visible(False)
        for panel in panels[::columns]:
            panel.set_ylabel("Mean score")
        legend_below(figure, panels[:1], columns=4)
        figure.suptitle("One point per trained policy")
        save(figure, folder, "reward_kl")
