"""What a command is to write, checked before any work."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from steps.errors import UserError

Paths = Iterable[Path | None]  # None: of an option that is not given


def check_outputs(files: Paths, inputs: Paths, folder: Path | None = None) -> None:
    """Refuse outputs that would destroy what is read or written, or cannot be written in the end.

    Args:
        files: to write.
        inputs: files and folders to read.
        folder: to write.

    Raises:
        UserError: an output is an input or lies in one, is named twice, or is a folder in the
            place of a file.
        OSError: it cannot be written there.
    """
    files = [path for path in files if path is not None]
    read = [path for path in inputs if path is not None]
    seen: set[Path] = set()
    for path in [*files, *([folder] if folder else [])]:
        place = path.resolve()
        if place in seen:
            raise UserError(f"{path} is to be written twice; give each output a path of its own")
        seen.add(place)
        for each in read:
            if _share(place, each.resolve()):
                raise UserError(
                    f"{path} is to be written, but {each} is read and would be lost or changed; "
                    "give another output"
                )
        if path.is_dir() and path != folder:
            raise UserError(f"{path} is a folder, but a file is to be written; give another name")
        if path.is_file() and path == folder:
            raise UserError(f"{path} is a file, but a folder is to be written; give another name")
        _try_to_write(path)


def check_ending(path: Path, ending: str) -> None:
    """Refuse an output whose name promises another format."""
    if not path.name.endswith(ending):
        raise UserError(f"{path} does not end with {ending}, which is written; give another name")


def _share(one: Path, other: Path) -> bool:
    """Whether two paths are the same, or one lies in the other."""
    return one.is_relative_to(other) or other.is_relative_to(one)


def _try_to_write(path: Path) -> None:
    """Raise the `OSError` that writing ``path`` would meet; nothing is left behind."""
    try:
        there = next(folder for folder in path.absolute().parents if folder.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        error.filename = str(path)
        raise
