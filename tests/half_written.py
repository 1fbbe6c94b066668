"""Another process that is in the middle of writing a file."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ROOT

WRITE = """
import sys
from pathlib import Path
from steps.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("half", flush=True)
    sys.stdin.read()
    with temporary.open("a") as stream:
        stream.write(" and half")
"""


@contextmanager
def half_written(path: Path) -> Iterator[subprocess.Popen]:
    """Yield the process; it writes the other half when its input is closed, or is killed."""
    child = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "half\n"
    try:
        yield child
    finally:
        child.kill()
        child.communicate()
