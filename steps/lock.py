"""One writer at a time for a folder of unfinished work, on one machine or on several.

``<folder>.lock`` names its owner. The owner holds the system's lock on that file, which ends with
the process, and touches it every `BEAT` seconds: of the file systems that several machines share,
some do not pass locks on, others keep the lock of a machine that is lost. An owner on another
machine whose file no longer changes is dead.
"""

import errno
import fcntl
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TextIO

from steps.errors import UserError
from steps.files import named_errors

BEAT = 5.0  # seconds between two signs of life
STALE = 30.0  # seconds without one after which the owner is taken for dead


@contextmanager
def only_writer(work: Path, stale: float = STALE) -> Iterator[None]:
    """Own ``work`` for the block.

    Args:
        stale: seconds that an owner on another machine is watched for a sign of life.

    Raises:
        UserError: another process owns it, here or on another machine.
    """
    path = work.with_name(work.name + ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as stream:
        # In this order: of two that come at once, the second shall read the name of the first.
        taken = not _lock(stream)
        owner = _newcomer(path) if taken else _owner(path)
        if taken and (owner is None or owner["host"] == platform.node()):
            lives = True  # on this machine the lock ends with its process
        else:
            lives = owner and not _is_dead_here(owner) and _lives(path, owner, stale)
        if taken and not lives:
            # A lost machine may keep it: silence is enough, unless another was faster meanwhile.
            _lock(stream)
            before, owner = owner, _owner(path)
            lives = owner != before
        if lives:
            raise UserError(
                f"{_name(owner)} is writing {work} (perhaps it outlived its controller); wait for "
                "it or end it, then start again"
            )
        me = _me()
        _write(stream, json.dumps(me))
        done = Event()
        heart = Thread(target=_beat, args=(path, me, done), daemon=True)
        heart.start()
        try:
            yield
        finally:
            done.set()
            heart.join()
            if _owner(path) == me:
                _write(stream, "")  # given back: nobody needs to watch for signs of life


def _lock(stream: TextIO) -> bool:
    """Take the system's lock; a file system that has none leaves it to the signs of life."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            raise
    return True


def _me() -> dict[str, str | int | float]:
    return {"host": platform.node(), "pid": os.getpid(), "since": time.time()}


def _owner(path: Path) -> dict | None:
    """Return who the file names; None if it was given back, or its owner died while writing it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


def _newcomer(path: Path) -> dict | None:
    """Return who has the system's lock; its name is in the file a moment after it took it."""
    for _ in range(10):
        owner = _owner(path)
        if owner is not None and not _is_dead_here(owner):  # else an earlier one
            return owner
        time.sleep(0.1)
    return None


def _is_dead_here(owner: dict) -> bool:
    return owner["host"] == platform.node() and not Path(f"/proc/{owner['pid']}").is_dir()


def _lives(path: Path, owner: dict, stale: float) -> bool:
    """Watch the file for a sign of life; the clocks of two machines are not compared."""
    before, deadline = _changed(path), time.monotonic() + stale
    print(f"{path}: waiting up to {stale:.0f} s for a sign of life of {_name(owner)}", flush=True)
    while time.monotonic() < deadline:
        time.sleep(min(BEAT, stale) / 5)
        if _changed(path) != before:
            return True
    return False


def _changed(path: Path) -> int:
    with path.open() as stream:  # a network file system looks anew only when a file is opened
        return os.fstat(stream.fileno()).st_mtime_ns


def _name(owner: dict | None) -> str:
    if owner is None:
        return "another process"
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(owner["since"]))
    return f"process {owner['pid']} on {owner['host']}, there since {since},"


def _beat(path: Path, me: dict, done: Event) -> None:
    """Show life until ``done``; end the process if another one has become the owner meanwhile.

    That happens where this machine stood still, or could not reach the file, for too long.
    """
    while not done.wait(BEAT):
        try:
            owner = _owner(path)
            if owner == me:
                os.utime(path)
                continue
        except OSError:  # such as a network file system that is away; the next beat tries again
            continue
        message = f"error: {path}: taken over by {_name(owner)} while this process gave no sign of"
        print(message, "life; it ends here, so wait for the other", file=sys.stderr, flush=True)
        os._exit(1)  # at once: nothing more may be written there


def _write(stream: TextIO, text: str) -> None:
    """Replace the content at once and past all buffers: other machines read it.

    A full disk says so here and names the file, not when the stream is closed.
    """
    with named_errors(Path(stream.name)):
        os.truncate(stream.fileno(), 0)
        os.write(stream.fileno(), text.encode())
        os.fsync(stream.fileno())
