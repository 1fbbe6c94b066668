"""What was done to the pipeline, and what came of it."""

from collections import Counter
from pathlib import Path

from steps.files import read_json, write_json, write_text

# What a fault came to.
SAME_BYTES = "went on, same bytes"
SENTENCE = "one sentence; its remedy, same bytes"
LOST = "lost"
ENDS = (SAME_BYTES, SENTENCE, LOST)


class Ledger:
    """The faults of one test, kept in a folder beside those of all other tests.

    A fault is lost from the moment it fires until its test has seen everything it asserts: a test
    that fails, or is itself killed, leaves it so.

    Args:
        test: its id; what it noted in an earlier run is forgotten.
    """

    def __init__(self, folder: Path, test: str):
        self.folder, self.test = folder, test
        self.faults: list[dict[str, str]] = []
        self._write()

    def fired(self, kind: str, place: str) -> None:
        """Note a fault, what it hit, and that it is lost."""
        self.faults.append({"test": self.test, "fault": kind, "hit": place, "end": LOST})
        self._write()

    def survived(self, end: str) -> None:
        """Note what all faults of the test came to."""
        for fault in self.faults:
            fault["end"] = end
        self._write()

    def _write(self) -> None:
        path = self.folder / "faults.json"
        noted = read_json(path) if path.is_file() else []
        others = [fault for fault in noted if fault["test"] != self.test]
        faults = sorted(others + self.faults, key=lambda fault: fault["test"])
        write_json(path, faults)
        write_text(self.folder / "faults.md", markdown(faults))


def markdown(faults: list[dict[str, str]]) -> str:
    """Return a table with a row for each kind of fault."""
    counts = Counter((fault["fault"], fault["end"]) for fault in faults)
    lines = [f"| fault | tried | {' | '.join(ENDS)} |", "|---|---|---|---|---|"]
    for kind in dict.fromkeys(fault["fault"] for fault in faults):
        ends = [counts[kind, end] for end in ENDS]
        lines.append(f"| {kind} | {sum(ends)} | {' | '.join(map(str, ends))} |")
    return "\n".join(lines) + "\n"
