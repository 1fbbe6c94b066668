"""How long responses are: a density for each method beside that of what they came from."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from steps.config import Experiment
from steps.report.figure_style import GREY, method_lines
from steps.report.names import method_title

_BINS = 30


def draw_length_densities(
    panel: Axes, lengths: pd.DataFrame, origin: str, title: str, experiment: Experiment
) -> None:
    """Draw histograms that enclose an area of one, in common bins.

    Args:
        lengths: columns method, n_tokens and weight.
        origin: the method that is drawn in grey, called ``title``.
    """
    bins = np.histogram_bin_edges(lengths["n_tokens"], _BINS)
    for method in [origin, *experiment.methods]:
        own = lengths[lengths["method"] == method]
        if own.empty:
            continue
        density, _ = np.histogram(own["n_tokens"], bins, weights=own["weight"], density=True)
        style = {"color": GREY, "linestyle": "-"}
        if method != origin:
            style = {key: method_lines(experiment)[method][key] for key in style}
        label = title if method == origin else method_title(method)
        panel.stairs(density, bins, label=label, lw=1.2, **style)
    panel.set_xlabel("Tokens of the response")
    panel.set_ylabel("Density")
