"""Memory that the C library holds between blocks in use and does not give back by itself."""

import ctypes
import time
from functools import cache

EVERY = 10.0  # seconds; once takes up to a tenth of one


class _Trimmer:
    def __init__(self) -> None:
        self.trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others have none
        self.last = time.monotonic()

    def __call__(self) -> None:
        if self.trim is not None and time.monotonic() - self.last >= EVERY:
            self.trim(0)
            self.last = time.monotonic()


@cache
def _trimmer() -> _Trimmer:
    return _Trimmer()


def give_back_memory() -> None:
    """Give free memory back to the system, where `EVERY` seconds have passed since the last time.

    For steps in which small blocks that stay lie between large ones that come and go: those leave
    gaps, and the heap grows by them. A training of the quickstart, which reached 3.1 GB, keeps
    below 2.5 by this and by fewer kinds of products (`steps.onednn`). No step becomes faster by it.
    """
    _trimmer()()
