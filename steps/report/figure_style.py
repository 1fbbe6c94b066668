"""How every figure looks: legible in print at 6.75 inches, in grey and for the colour-blind."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from steps.config import Experiment

WIDTH = 6.75  # inches, the text width of a two-column conference page
RESOLUTION = 200  # dots per inch of the PNG files
LEGEND_ROW = 0.17  # inches

# Okabe and Ito's palette; a line style and a marker beside each colour, for print in grey. Beyond
# the sixth method a colour returns with the next line style and a marker of its own.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = (
    "-",
    (0, (5, 1.5)),
    (0, (1, 1)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "p", "*", ">", "h")
GREY = "0.35"
BASELINE_LINES = {
    "oracle": (0, (8, 3)),
    "random": (0, (3, 3)),
    "longest": (0, (1, 2)),
    "shortest": (0, (1, 5)),
}

_SETTINGS = {
    "font.family": "DejaVu Sans",  # comes with Matplotlib, so every machine draws the same
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "figure.titlesize": 8,
    "figure.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "text.parse_math": False,  # a $ in the name of a set or problem is a dollar
    "pdf.fonttype": 42,  # TrueType: text stays text, as journals ask
    "ps.fonttype": 42,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Use the settings of all figures, starting from Matplotlib's own defaults."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def method_lines(experiment: Experiment) -> dict[str, dict]:
    """Colour, line style and marker of every method, the same in all figures."""
    methods = dict.fromkeys([*experiment.methods, *experiment.trained_methods])
    return {method: line_of(place) for place, method in enumerate(methods)}


def line_of(place: int) -> dict:
    """Colour, line style and marker of the method at ``place``; all differ up to the 36th."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": LINES[(place + place // len(COLOURS)) % len(LINES)],
        "marker": MARKERS[place % len(MARKERS)],
    }


def new_figure(height: float) -> Figure:
    """An empty figure of the page's width; no window system is involved."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def message_figure(message: str) -> Figure:
    """A figure that only says why there is nothing to draw."""
    figure = new_figure(1.0)
    figure.text(0.5, 0.5, message, ha="center")
    return figure


def band_opacity(bands: int) -> float:
    """Opacity of one of several bands, so that all of them together do not hide the lines."""
    return min(0.13, 0.39 / bands)


def draw_band(
    panel: Axes, x: Sequence[float], curve: pd.DataFrame, style: dict, label: str, bands: int
) -> None:
    """Draw one method: its line, and its interval as one of several bands.

    Args:
        curve: columns value, ci_low and ci_high, a row per x.
    """
    low, high = curve["ci_low"], curve["ci_high"]
    opacity = band_opacity(bands)
    panel.fill_between(x, low, high, color=style["color"], alpha=opacity, lw=0)
    panel.plot(x, curve["value"], label=label, zorder=3, **style)


def draw_point(panel: Axes, x: float, estimate: pd.DataFrame, style: dict) -> None:
    """Draw one value with its interval.

    Args:
        estimate: columns value, ci_low and ci_high; its one row, or none where there is no value.
    """
    value = estimate["value"]
    errors = [value - estimate["ci_low"], estimate["ci_high"] - value]
    look = {"color": style["color"], "fmt": style["marker"], "lw": 1.0}
    panel.errorbar([x] * len(estimate), value, errors, **look)


def legend_below(figure: Figure, panels: list[Axes], columns: int) -> None:
    """Put one legend for all panels below them; its rows are added to the figure's height.

    Args:
        columns: at most so many; fewer where they would be wider than the page.
    """
    entries: dict = {}  # one for a label that several panels have
    for panel in panels:
        entries |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    handles, labels = list(entries.values()), list(entries)
    place = "outside lower center"
    legend = figure.legend(handles, labels, loc=place, ncols=columns)
    while columns > 1 and _width(legend) > figure.bbox.width:
        legend.remove()
        columns -= 1
        legend = figure.legend(handles, labels, loc=place, ncols=columns)
    rows = -(-len(entries) // columns)
    figure.set_figheight(figure.get_figheight() + rows * LEGEND_ROW)


def _width(legend: Legend) -> float:
    """The width in pixels, which is known once the figure is drawn."""
    legend.get_figure().draw_without_rendering()
    return legend.get_window_extent().width


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write ``name``.png and ``name``.pdf without times, so that equal figures are equal bytes."""
    figure.savefig(folder / f"{name}.png", dpi=RESOLUTION, metadata={"Software": None})
    figure.savefig(folder / f"{name}.pdf", metadata={"CreationDate": None})
