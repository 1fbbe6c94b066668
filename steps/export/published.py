"""The equation of a method and its source, as the guide to the methods states them."""

from dataclasses import dataclass

from steps.provenance import ROOT

GUIDE = ROOT / "docs" / "methods.md"


@dataclass(frozen=True)
class PublishedLoss:
    """A row of the guide's table, in Markdown."""

    loss: str
    source: str


def published_loss(method: str) -> PublishedLoss | None:
    """Return the row of ``method``; None for one that the guide does not list."""
    for line in GUIDE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and f"`{method}`" in cells[0].split(", "):
            return PublishedLoss(cells[1], cells[2])
    return None
