"""One writer of a folder: a living owner is respected, a dead one is not."""

import errno
import json
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from steps.errors import UserError
from steps.lock import only_writer
from tests.conftest import ROOT

HOLD = """
import sys, time
from pathlib import Path
from steps.lock import only_writer
with only_writer(Path(sys.argv[1])):
    print("owned", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """A process that owns ``work``."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "work")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "owned\n"
    yield child
    child.kill()
    child.wait()


def elsewhere(folder: Path) -> Path:
    """Let an owner on another machine be named, and return the file that it would touch."""
    return owned_by(folder, "node17", 1)


def owned_by(folder: Path, host: str, pid: int) -> Path:
    """Name an owner; whoever reads the file meanwhile reads a whole one."""
    lock, new = folder / "work.lock", folder / "new.lock"
    new.write_text(json.dumps({"host": host, "pid": pid, "since": 0.0}))
    os.replace(new, lock)
    return lock


def test_a_living_owner_is_named(other_process, tmp_path: Path) -> None:
    words = rf"process {other_process.pid} on .* is writing .*work \(.*wait for it or end it"
    with pytest.raises(UserError, match=words), only_writer(tmp_path / "work"):
        pass


@pytest.mark.parametrize("after_a_dead_one", [False, True])
def test_an_owner_who_came_a_moment_before_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after_a_dead_one: bool
) -> None:
    """It has the system's lock, but its name is not in the file yet when that is first read."""
    if after_a_dead_one:
        owned_by(tmp_path, platform.node(), 2**22 + 1)  # Linux gives no such number
    monkeypatch.setattr("steps.lock._lock", lambda _: False)
    monkeypatch.setattr("steps.lock.time.sleep", lambda _: elsewhere(tmp_path))
    with (
        pytest.raises(UserError, match=r"process 1 on node17, there since .*, is writing"),
        only_writer(tmp_path / "work"),
    ):
        pass


def test_a_killed_owner_frees_the_folder_at_once(other_process, tmp_path: Path, capsys) -> None:
    os.kill(other_process.pid, signal.SIGKILL)
    other_process.wait()
    with only_writer(tmp_path / "work"):
        assert "waiting" not in capsys.readouterr().out


@contextmanager
def living(lock: Path) -> Iterator[None]:
    """Touch the lock all the time, as its owner does."""
    done = threading.Event()

    def live() -> None:
        while not done.wait(0.05):
            os.utime(lock)

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_an_owner_elsewhere_who_shows_life_is_respected(tmp_path: Path) -> None:
    lock = elsewhere(tmp_path)
    with (
        living(lock),
        pytest.raises(UserError, match="process 1 on node17"),
        only_writer(tmp_path / "work", stale=60.0),
    ):
        pass
    assert "node17" in lock.read_text()


def test_an_owner_elsewhere_without_a_sign_of_life_is_dead(tmp_path: Path, capsys) -> None:
    lock = elsewhere(tmp_path)
    with only_writer(tmp_path / "work", stale=0.2):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert "sign of life of process 1 on node17" in capsys.readouterr().out
    assert lock.read_text() == ""  # given back


@pytest.fixture
def kept_lock(tmp_path: Path) -> Iterator[Path]:
    """A file whose lock the file system keeps for an owner on another machine."""
    lock = elsewhere(tmp_path)
    with subprocess.Popen(
        ["flock", str(lock), sys.executable, "-c", "print('locked', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout.readline() == "locked\n"
        yield lock
        child.communicate("\n")


def test_the_lock_of_a_lost_machine_may_outlive_it(kept_lock: Path, tmp_path: Path) -> None:
    with only_writer(tmp_path / "work", stale=0.2):
        assert json.loads(kept_lock.read_text())["pid"] == os.getpid()
        assert subprocess.run(["flock", "--nonblock", kept_lock, "true"]).returncode == 1
    assert kept_lock.read_text() == ""  # given back


def test_of_two_that_take_the_place_of_a_lost_one_the_first_stays(
    kept_lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_) -> bool:
        owned_by(tmp_path, "node18", 2)  # after the last look for a sign of life
        return False

    monkeypatch.setattr("steps.lock._lives", silent)
    with pytest.raises(UserError, match="2 on node18"), only_writer(tmp_path / "work"):
        pass
    assert "node18" in kept_lock.read_text()


def test_who_has_the_lock_elsewhere_and_shows_life_is_respected(
    kept_lock: Path, tmp_path: Path
) -> None:
    with (
        living(kept_lock),
        pytest.raises(UserError, match="process 1 on node17"),
        only_writer(tmp_path / "work", stale=60.0),
    ):
        pass
    assert "node17" in kept_lock.read_text()


def test_a_full_disk_names_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("steps.lock.os.write", full)
    with pytest.raises(OSError, match=r"No space left.*work\.lock"), only_writer(tmp_path / "work"):
        pass


def shows_life(lock: Path) -> bool:
    """Whether the lock is touched within ten seconds."""
    os.utime(lock, (0, 0))
    for _ in range(1000):
        if lock.stat().st_mtime > 0:
            return True
        time.sleep(0.01)
    return False


def test_the_owner_shows_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steps.lock.BEAT", 0.01)
    with only_writer(tmp_path / "work"):
        assert shows_life(tmp_path / "work.lock")


def test_the_owner_shows_life_again_after_the_file_system_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steps.lock.BEAT", 0.01)
    touched = threading.Event()

    def stale(*_) -> None:
        touched.set()
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with only_writer(tmp_path / "work"):
        with monkeypatch.context() as patch:
            patch.setattr("steps.lock.os.utime", stale)
            assert touched.wait(10)
        assert shows_life(tmp_path / "work.lock")


def test_an_owner_who_was_replaced_ends_at_once(tmp_path: Path) -> None:
    line = [sys.executable, "-c", "import steps.lock; steps.lock.BEAT = 0.01" + HOLD]
    with subprocess.Popen(
        [*line, str(tmp_path / "work")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout.readline() == "owned\n"
        elsewhere(tmp_path)  # as after a long standstill of this machine
        _, said = child.communicate(timeout=60)
    assert child.returncode == 1
    assert re.match(r"error: .*/work\.lock: taken over by process 1 on node17, there", said)
