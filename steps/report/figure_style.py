"""How every figure looks: legible in print at 6.75 inches, in grey and for the colour-blind."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

WIDTH = 6.75  # inches, the text width of a two-column conference page
RESOLUTION = 200  # dots per inch of the PNG files

# Okabe and Ito's palette; a line style and a marker beside each colour, for print in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = (
    "-",
    (0, (5, 1.5)),
    (0, (1, 1)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
MARKERS = ("o", "s", "^", "D", "v", "P")
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


def line_of(place: int) -> dict:
    """Colour, line style and marker of the method at ``place`` in the experiment."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": LINES[place % len(LINES)],
        "marker": MARKERS[place % len(MARKERS)],
    }


def new_figure(height: float) -> Figure:
    """An empty figure of the page's width; no window system is involved."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write ``name``.png and ``name``.pdf without times, so that equal figures are equal bytes."""
    figure.savefig(folder / f"{name}.png", dpi=RESOLUTION, metadata={"Software": None})
    figure.savefig(folder / f"{name}.pdf", metadata={"CreationDate": None})
