"""The arrays of an unfinished cache, and a journal of the batches that are safely on disk.

A line of ``journal.jsonl`` says, for every file, how many bytes it had after one more batch and
their SHA-256. So a later run knows which batches are whole and still as they were written, and a
finished file's hash is that of what was computed, not of what lies on the disk.
"""

import hashlib
import os
from pathlib import Path

import numpy as np

from steps.cache.store import ARRAYS
from steps.journal import append, append_value, read_values, write_values

JOURNAL = "journal.jsonl"
CACHE = "cache"  # the folder of what will be the cache
_BLOCK = 1 << 20


class Journal:
    """Appends batches to the arrays of a folder of unfinished work.

    Attributes:
        cache: where the arrays lie; nothing else does, so that it can be renamed as it is.
        batches: how many are there.
        files: size and hash of each array, as ``{"bytes": ..., "sha256": ...}`` by file name.
    """

    def __init__(self, work: Path):
        """Bring ``work`` to the state after its last whole batch."""
        self.journal, self.cache = work / JOURNAL, work / CACHE
        self.cache.mkdir(exist_ok=True)
        self.files: dict[str, dict] = {}
        self._hashes = {name: hashlib.sha256() for name in ARRAYS}
        whole = []
        for line in read_values(self.journal):
            hashes = self._hashes_after(line)
            if hashes is None:
                print(f"{work}: changed on disk after {len(whole)} batches; going on from there")
                break
            self._hashes |= hashes
            self.files = line
            whole.append(line)
        self.batches = len(whole)
        write_values(self.journal, whole)
        for name in ARRAYS:
            if (self.cache / name).is_file():
                os.truncate(self.cache / name, self._bytes(name))

    def append(self, arrays: dict[str, np.ndarray]) -> None:
        """Put a batch on disk, and then say so in the journal."""
        files = {}
        for name, array in arrays.items():
            content = np.ascontiguousarray(array).tobytes()
            append(self.cache / name, content)
            self._hashes[name].update(content)
            size = self._bytes(name) + len(content)
            files[name] = {"bytes": size, "sha256": self._hashes[name].hexdigest()}
        append_value(self.journal, files)
        self.files = files
        self.batches += 1

    def _hashes_after(self, line: dict) -> dict | None:
        """Return the hashes up to the end of the next batch; None where a file is not as noted."""
        hashes = {name: self._hashes[name].copy() for name in line}
        for name, facts in line.items():
            path = self.cache / name
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
