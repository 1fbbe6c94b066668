"""Checkpoints of unfinished training: whole or not there, and of one configuration only."""

import json
from pathlib import Path
from typing import Any

from steps.errors import UserError
from steps.files import file_hashes, read_json, remove, to_disk, write_json

MARK = "whole.json"  # written last: the SHA-256 of all files of the checkpoint
RUN = "run.json"  # what the run of this folder is


def claim_folder(work: Path, run: dict[str, Any]) -> None:
    """Note in ``work`` what is trained there.

    Raises:
        UserError: the folder holds checkpoints of something else.
    """
    run = json.loads(json.dumps(run))
    path = work / RUN
    if path.is_file():
        before = read_json(path)
        old, new = _flat(before), _flat(run)
        changed = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
        if changed and last_checkpoint(work) is not None:
            key = changed[0]
            raise UserError(
                f"{work} holds checkpoints of a run with another {key} ({old.get(key)}, now "
                f"{new.get(key)}); restore it to go on, or delete the folder to start anew"
            )
    write_json(path, run)


def _flat(facts: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested facts under dotted keys."""
    flat = {}
    for key, value in facts.items():
        nested = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat


def seal(checkpoint: Path) -> None:
    """Declare a checkpoint whole, and delete the others beside it once it is on the disk itself.

    A node that is lost takes along what its system had not written yet.
    """
    remove(checkpoint / MARK)
    write_json(checkpoint / MARK, file_hashes(checkpoint))
    to_disk(checkpoint)
    for other in checkpoint.parent.glob("checkpoint-*"):
        if other != checkpoint:
            remove(other)


def last_checkpoint(work: Path) -> Path | None:
    """Return the newest whole checkpoint in ``work``, or None; say which one has changed."""
    found = sorted(work.glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]))
    return next((p for p in reversed(found) if _is_whole(p)), None)


def _is_whole(checkpoint: Path) -> bool:
    if not (checkpoint / MARK).is_file():
        return False  # the kill came while it was written
    found = file_hashes(checkpoint)
    del found[MARK]
    try:
        whole = json.loads((checkpoint / MARK).read_text(encoding="utf-8")) == found
    except ValueError:
        whole = False
    if not whole:
        print(f"{checkpoint} has changed since it was written; it is not used")
    return whole
