"""Long jobs end early when they are asked to: they save, and the same command goes on from there.

A cluster sends SIGTERM before it takes a node away, and before the time limit where the profile
asks for it; SIGUSR1 is what batch scripts use for the same purpose.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
STOPPED = 75  # EX_TEMPFAIL of sysexits.h: not done, start again

_asked = Event()


def _note(*_) -> None:
    _asked.set()


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Yield a function: whether one of `SIGNALS` has come since the outermost block began.

    A step reads and loads for minutes before its loop, which asks: it is a block as a whole
    (``@stop_requests()``), so that a request of that time is honoured by the loop.
    """
    before = {number: signal.signal(number, _note) for number in SIGNALS}
    try:
        yield _asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if _note not in before.values():
            _asked.clear()


def leave(name: str) -> NoReturn:
    """End the process with `STOPPED`; all that is needed to go on has been saved."""
    print(f"{name}: stopped when asked to; the same command goes on from here", file=sys.stderr)
    sys.exit(STOPPED)
