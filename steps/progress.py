"""Progress of long work: a bar on a terminal, a plain line now and then in a log."""

import sys
import time


class Progress:
    """Counts work done towards ``total`` and prints rate and time left to stderr.

    On a terminal one line is redrawn; elsewhere a line is printed at most every ``every`` seconds.
    """

    def __init__(self, name: str, total: int, unit: str, done: int = 0, every: float = 20.0):
        self.name, self.total, self.unit = name, total, unit
        self.done, self.already_done = done, done
        self.start = self.last = time.monotonic()
        self.terminal = sys.stderr.isatty()
        self.every = 0.2 if self.terminal else every

    def advance(self, amount: int, note: str = "") -> None:
        """Record ``amount`` more units of work; ``note`` is shown behind the rate."""
        self.done += amount
        now = time.monotonic()
        if now - self.last >= self.every or self.done >= self.total:
            self.last = now
            self._print(now, note)

    def _print(self, now: float, note: str) -> None:
        seconds = max(now - self.start, 1e-9)
        rate = (self.done - self.already_done) / seconds
        left = (self.total - self.done) / rate if rate > 0 else float("inf")
        share = self.done / max(self.total, 1)
        text = (
            f"{self.name}: {self.done:,}/{self.total:,} {self.unit} ({share:.0%}), "
            f"{rate:,.{1 if rate < 10 else 0}f} {self.unit}/s, {left:,.0f} s left {note}"
        ).rstrip()
        if not self.terminal:
            print(text, file=sys.stderr, flush=True)
            return
        width = 24
        bar = "#" * round(width * share)
        end = "\n" if self.done >= self.total else ""
        print(f"\r\033[K[{bar:<{width}}] {text}", end=end, file=sys.stderr, flush=True)
