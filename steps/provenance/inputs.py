"""What a step reads: whether it is what the step before it wrote, and stays so while it is read."""

from collections.abc import Iterable
from pathlib import Path

from steps.errors import UserError
from steps.files import STAMP, sha256
from steps.provenance.ancestry import normal_path, read_steps

# Size in bytes and time of the last change in ns, by file.
Marks = dict[Path, tuple[int, int]]


class Inputs:
    """The hashes of what a step reads, taken before it is read.

    Large inputs are hashed once: as long as sizes and times of the files are as they were then, the
    hash is taken from memory.
    """

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Marks, str]] = {}

    def check(self, paths: Iterable[Path]) -> dict[str, str]:
        """Return the SHA-256 of files and folders by their names.

        Raises:
            UserError: one is not what its own step wrote, or has changed since the last check.
        """
        paths = list(paths)
        found: dict[Path, tuple[Marks, str]] = {}
        for path in paths:
            marks = _marks(path)  # before the hash: a change meanwhile shows the next time
            if path not in self._known or self._known[path][0] != marks:
                found[path] = marks, sha256(path)
        if found:
            refuse_changed({str(path): digest for path, (_, digest) in found.items()})
        for path, (_, digest) in found.items():
            if path in self._known and self._known[path][1] != digest:
                raise UserError(f"{path} has changed while the step read it; start again")
        self._known |= found
        return {str(path): self._known[path][1] for path in paths}


def _marks(path: Path) -> Marks:
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    stats = {file: file.stat() for file in files if file.name != STAMP}
    return {file: (stat.st_size, stat.st_mtime_ns) for file, stat in stats.items()}


def refuse_changed(hashes: dict[str, str]) -> None:
    """Refuse inputs that no longer have the hash that their own step noted on its run card.

    So a bit that has flipped on a disk, or a copy that was cut, does not go on into a table. What
    no step wrote, such as data of the user, has no card and may be anything. Experiments may have
    made the same file, such as a download; one card that agrees is enough.

    Args:
        hashes: SHA-256 of each input, by its path.

    Raises:
        UserError: names the first such input.
    """
    noted: dict[str, set[str]] = {}
    for step in read_steps():
        for path, digest in step.outputs.items():
            noted.setdefault(path, set()).add(digest)
    for path, found in hashes.items():
        if found not in noted.get(normal_path(path), {found}):
            raise UserError(
                f"{path} is not what its step wrote: its hash is another one than on the run card; "
                "delete it and start again, then its step makes it again"
            )
