"""The arrays of an unfinished cache, and a journal of the batches that are safely on disk.

A line of ``journal.jsonl`` says, for every file, how many bytes it had after one more batch and
their SHA-256. So a later run knows which batches are whole and still as they were written, and a
finished file's hash is that of what was computed, not of what lies on the disk.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from steps.cache.store import ARRAYS
from steps.files import named_errors, write_text

JOURNAL = "journal.jsonl"
_BLOCK = 1 << 20


class Journal:
    """Appends batches to the arrays in a folder.

    Attributes:
        batches: how many are there.
        files: size and hash of each array, as ``{"bytes": ..., "sha256": ...}`` by file name.
    """

    def __init__(self, work: Path):
        """Bring ``work`` to the state after its last whole batch."""
        self.work = work
        self.files: dict[str, dict] = {}
        self._hashes = {name: hashlib.sha256() for name in ARRAYS}
        whole = []
        for line in self._read():
            hashes = self._hashes_after(line)
            if hashes is None:
                break
            self._hashes |= hashes
            self.files = line
            whole.append(line)
        self.batches = len(whole)
        write_text(work / JOURNAL, "".join(json.dumps(line) + "\n" for line in whole))
        for name in ARRAYS:
            if (work / name).is_file():
                os.truncate(work / name, self._bytes(name))

    def append(self, arrays: dict[str, np.ndarray]) -> None:
        """Put a batch on disk, and then say so in the journal."""
        files = {}
        for name, array in arrays.items():
            content = np.ascontiguousarray(array).tobytes()
            with named_errors(self.work / name):
                _append(self.work / name, content)
            self._hashes[name].update(content)
            size = self._bytes(name) + len(content)
            files[name] = {"bytes": size, "sha256": self._hashes[name].hexdigest()}
        with named_errors(self.work / JOURNAL):
            _append(self.work / JOURNAL, (json.dumps(files) + "\n").encode())
        self.files = files
        self.batches += 1

    def _read(self) -> list[dict]:
        path, lines = self.work / JOURNAL, []
        for line in path.read_text().splitlines() if path.is_file() else []:
            try:
                files = json.loads(line)
            except json.JSONDecodeError:
                break  # the kill came while this line was written
            if not all(isinstance(facts, dict) for facts in files.values()):
                break  # of an earlier version, which noted no hashes
            lines.append(files)
        return lines

    def _hashes_after(self, line: dict) -> dict | None:
        """Return the hashes up to the end of the next batch; None where a file is not as noted."""
        hashes = {name: self._hashes[name].copy() for name in line}
        for name, facts in line.items():
            path = self.work / name
            if not path.is_file():
                return None
            with path.open("rb") as stream:
                stream.seek(self._bytes(name))
                left = facts["bytes"] - self._bytes(name)
                while left > 0 and (block := stream.read(min(left, _BLOCK))):
                    hashes[name].update(block)
                    left -= len(block)
            if left or hashes[name].hexdigest() != facts["sha256"]:
                return None
        return hashes

    def _bytes(self, name: str) -> int:
        return self.files[name]["bytes"] if name in self.files else 0


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
