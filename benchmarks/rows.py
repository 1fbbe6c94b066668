"""A row of the table of speeds, and the files that it is written to."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.timing import Seconds
from steps.files import read_json, write_json, write_text
from steps.report.markdown import grid

JSON, MARKDOWN = "benchmarks.json", "benchmarks.md"


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        name: what is compared.
        work: what one run computes.
        peer_name: against what.
        ours, peer: medians over the runs, in ``unit``.
        ratio: median over the rounds of ours over the peer's.
        ratio_range: the least and the greatest ratio of a round.
        n: rounds that count.
        target: what the ratio should be.
        share_of_peak, peer_share_of_peak: useful FLOP/s (`benchmarks.flops`) over those of the
            machine's matrix products (`benchmarks.peak`).
    """

    name: str
    work: str
    peer_name: str
    unit: str
    ours: float
    peer: float | None
    ratio: float | None
    ratio_range: tuple[float, float] | None
    n: int
    target: str | None
    machine: str
    share_of_peak: float | None = None
    peer_share_of_peak: float | None = None
    ours_range: tuple[float, float] | None = None
    peer_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class LeftOut:
    """A comparison that could not be made here."""

    name: str
    reason: str


@dataclass(frozen=True)
class Machine:
    """Where the rows are measured.

    Attributes:
        peak: FLOP/s of its matrix products.
    """

    name: str
    peak: float


def rate_row(machine: Machine, seconds: Seconds, amount: float, flops: float, **facts) -> Row:
    """Return the row of a throughput: ``amount`` of its unit is done in every run.

    Args:
        flops: useful ones of a run, the same for both sides.
    """
    rates = (amount / seconds.ours, amount / seconds.peer)
    return _row(machine, *rates, seconds, (flops, flops), facts)


def rate_row_alone(
    machine: Machine, seconds: np.ndarray, amount: float, flops: float, **facts
) -> Row:
    """Return the row of a throughput that has no peer.

    Args:
        seconds: [n], of the runs.
    """
    rates = amount / seconds
    return Row(
        ours=float(np.median(rates)),
        ours_range=_range(rates),
        peer_name="–",
        peer=None,
        ratio=None,
        ratio_range=None,
        n=len(rates),
        target=None,
        machine=machine.name,
        share_of_peak=flops / float(np.median(seconds)) / machine.peak,
        **facts,
    )


def time_row(machine: Machine, seconds: Seconds, flops: float, peer_flops: float, **facts) -> Row:
    """Return the row of seconds per run: less is better.

    Args:
        flops, peer_flops: useful ones of a run on each side.
    """
    both = (flops, peer_flops)
    return _row(machine, seconds.ours, seconds.peer, seconds, both, facts | {"unit": "s"})


def _row(
    machine: Machine,
    ours: np.ndarray,
    peer: np.ndarray,
    seconds: Seconds,
    flops: tuple[float, float],
    facts: dict,
) -> Row:
    medians = (float(np.median(seconds.ours)), float(np.median(seconds.peer)))
    shares = [f / s / machine.peak for f, s in zip(flops, medians, strict=True)]
    return Row(
        ours=float(np.median(ours)),
        peer=float(np.median(peer)),
        ratio=float(np.median(ours / peer)),  # of neighbours: the machine drifts
        ratio_range=_range(ours / peer),
        ours_range=_range(ours),
        peer_range=_range(peer),
        n=len(ours),
        machine=machine.name,
        share_of_peak=shares[0],
        peer_share_of_peak=shares[1],
        **facts,
    )


def _range(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def add_rows(folder: Path, made: list[Row | LeftOut], facts: dict) -> list[Path]:
    """Write rows into the JSON file and the table of ``folder``; others that are there stay.

    So does the earlier row of a comparison that is left out now.

    Args:
        facts: of the code that was measured, kept in every row.
    Returns:
        The files.
    """
    path, table = folder / JSON, folder / MARKDOWN
    found = read_json(path) if path.is_file() else {"rows": [], "left_out": []}
    new = [asdict(each) | facts for each in made if isinstance(each, Row)]
    rows = _but(found["rows"], new) + new
    new = [asdict(each) for each in made if isinstance(each, LeftOut)]
    left = _but(_but(found["left_out"], new) + new, rows)
    write_json(path, {"rows": rows, "left_out": left})
    write_text(table, markdown(rows, left))
    return [path, table]


def _but(entries: list[dict], others: list[dict]) -> list[dict]:
    """Return the entries whose names are not those of others."""
    names = {other["name"] for other in others}
    return [entry for entry in entries if entry["name"] not in names]


def markdown(rows: list[dict], left_out: list[dict]) -> str:
    """Return the table, and what is not in it."""
    header = ["comparison", "work of a run", "against", "unit", "ours", "peer", "ratio", "target"]
    header += ["n", "share of peak, ours", "share of peak, peer", "machine", "commit"]
    lines = [grid(header, [_cells(row) for row in rows])]
    lines += [f"\nNot measured: {each['name']}: {each['reason']}.\n" for each in left_out]
    return "".join(lines)


def _cells(row: dict) -> list[str]:
    cells = [row["name"], row["work"], row["peer_name"], row["unit"]]
    cells += [_number(row[k], row[f"{k}_range"]) for k in ("ours", "peer", "ratio")]
    cells += [row["target"] or "–", str(row["n"])]
    cells += [_percent(row["share_of_peak"]), _percent(row["peer_share_of_peak"])]
    return [*cells, row["machine"], (row["commit"] or "–")[:7]]


def _number(value: float | None, bounds: list[float] | None) -> str:
    if value is None:
        return "–"
    text = f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
    return text if bounds is None else f"{text} [{bounds[0]:,.3g}, {bounds[1]:,.3g}]"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
