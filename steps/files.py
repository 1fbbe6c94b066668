"""Writing files so that a killed job leaves either the whole output or none."""

import errno
import glob
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from steps.errors import UserError

# A file or folder that is being written, and by whom.
TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)@.+\.part")
# Snakemake leaves it in every folder that a job has made as one; it is no content.
STAMP = ".snakemake_timestamp"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; rename it to ``path`` when the block succeeds.

    Works for a file or a folder. A folder that is already at ``path`` is replaced. The name is of
    this process alone: a step that outlived its controller may be writing the same ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}@{platform.node()}.part")
    _remove_left_overs(path)
    try:
        with named_errors(path):
            yield temporary
            _follow_umask(temporary)
        replace_folder(temporary, path)
    except BaseException:
        remove(temporary)
        raise


def _remove_left_overs(path: Path) -> None:
    """Delete what dead processes of this machine, or an earlier one of our number, left."""
    for file in path.parent.glob(f".{glob.escape(path.name)}.*@{platform.node()}.part"):
        found = TEMPORARY.fullmatch(file.name)
        if found is None or found["name"] != path.name:
            continue
        if int(found["pid"]) == os.getpid() or not Path(f"/proc/{found['pid']}").is_dir():
            remove(file)


def _follow_umask(path: Path) -> None:
    """Give new files the mode that a plain write gives; safetensors keeps others from reading."""
    mask = os.umask(0)  # reading it is setting it
    os.umask(mask)
    for file in [path] if path.is_file() else path.rglob("*"):
        # A second name of a finished file has its mode already, and perhaps another owner.
        if file.is_file() and file.stat().st_nlink == 1:
            file.chmod(0o666 & ~mask)


def replace_folder(new: Path, old: Path) -> None:
    """Rename ``new`` (a folder or a file) to ``old``; a folder that is there is replaced.

    Raises:
        UserError: the folder there holds something that its successor does not.
    """
    if old.is_dir():
        if not new.is_dir():
            raise UserError(f"{old} is a folder, but a file is to be written; give another name")
        refuse_foreign_files(old, {p.name for p in new.iterdir()})
        remove(old)
    os.replace(new, old)


def refuse_foreign_files(folder: Path, ours: set[str]) -> None:
    """Refuse to delete a folder that holds other files than ``ours``: it may be the user's.

    What a killed process left of one of ``ours`` is not foreign.
    """
    others = {p.name for p in folder.iterdir()} - ours - {STAMP}
    foreign = {TEMPORARY.sub(r"\g<name>", name) for name in others} - ours
    if foreign:
        raise UserError(
            f"{folder} holds '{min(foreign)}', which this step does not write; move it away or "
            "give another output folder"
        )


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Let an `OSError` of the block name ``path``: a full disk does not say which file it hit."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    except SafetensorError as error:
        # The library wraps the system's error into a text of its own.
        if "os error 28" not in str(error):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
    except RuntimeError as error:
        # torch's writer of archives keeps the system's error to itself: writing again tells it.
        if any(sign in str(error) for sign in ("inline_container", "iostream error")):
            _write_a_megabyte(path)
        raise


def _write_a_megabyte(path: Path) -> None:
    """Raise the `OSError` that a file beside or in ``path`` meets, if any."""
    folder = path if path.is_dir() else path.parent
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(1 << 20))
    except OSError as error:
        error.filename = str(path)
        raise


def link_file(source: Path, target: Path) -> None:
    """Give a file a second name; across file systems, copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def link_folder(source: Path, target: Path) -> None:
    """Give every file of the flat folder ``source`` a second name in ``target``, atomically."""
    with atomic_path(target) as temporary:
        temporary.mkdir()
        for file in sorted(source.iterdir()):
            if file.name != STAMP:
                link_file(file, temporary / file.name)


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def to_disk(folder: Path) -> None:
    """Wait until all files of a folder are on the disk itself, not only in the system's memory."""
    for file in (path for path in folder.rglob("*") if path.is_file()):
        with named_errors(file), file.open("rb") as stream:
            os.fsync(stream.fileno())


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_text(value: Any) -> str:
    """Return JSON with sorted keys, so that equal values give equal bytes."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write `json_text`, atomically."""
    write_text(path, json_text(value))


def make_again(path: Path) -> str:
    """Return how a step's file that is damaged or missing is made again, to end a sentence with.

    Where a job makes a folder as one, Snakemake looks at its stamp alone: it does not notice that a
    file in it is gone, so the folder has to be deleted.
    """
    path = Path(path)
    whole = next((folder for folder in path.parents if (folder / STAMP).is_file()), path)
    if whole.exists():
        return f"delete {whole} and run its step again"
    return "run the step that writes it"


def read_json(path: Path) -> Any:
    """Read JSON, naming the file when it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is not there; {make_again(path)}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); {make_again(path)}") from None


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's file names and contents in sorted order."""
    path = Path(path)
    if path.is_dir():
        return folder_hash(file_hashes(path))
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def file_hashes(folder: Path, patterns: Sequence[str] = ("*",)) -> dict[str, str]:
    """Return the SHA-256 of every file of a folder, by its sorted path in it.

    Args:
        patterns: of the paths that count.
    """
    hashes = {}
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        path = str(file.relative_to(folder))
        if file.name != STAMP and any(fnmatch(path, p) for p in patterns):
            hashes[path] = sha256(file)
    return hashes


def folder_hash(hashes: dict[str, str]) -> str:
    """Return the hash of a folder from those of its files."""
    content = "".join(f"{name}\0{digest}\n" for name, digest in hashes.items())
    return hashlib.sha256(content.encode()).hexdigest()
