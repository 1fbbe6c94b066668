"""A file of unfinished work, one line for each piece that is safely on disk.

A line is the SHA-256 of a value and the value in JSON, so that neither a line that a kill has cut
nor one in which a bit has flipped is taken for finished work.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from steps.files import named_errors, write_text


def append(path: Path, content: bytes) -> None:
    """Put ``content`` behind what the file holds, on the disk itself."""
    with named_errors(path), path.open("ab") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def append_value(path: Path, value: Any) -> None:
    """Add a line."""
    append(path, _line(value).encode())


def write_values(path: Path, values: Iterable[Any]) -> None:
    """Replace the file by one with these lines, atomically."""
    write_text(path, "".join(map(_line, values)))


def read_values(path: Path) -> list[Any]:
    """Return the values up to the first line that is not as it was written; say which one that is.

    A last line without its end is what a kill leaves, and nothing to speak of.
    """
    values = []
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    for number, line in enumerate(lines, 1):
        digest, _, text = line.removesuffix(b"\n").partition(b" ")
        if hashlib.sha256(text).hexdigest().encode() != digest:
            if line.endswith(b"\n"):
                print(f"{path}: line {number} has changed since it was written; going on before it")
            break
        values.append(json.loads(text))
    return values


def _line(value: Any) -> str:
    text = json.dumps(value)
    return f"{hashlib.sha256(text.encode()).hexdigest()} {text}\n"
