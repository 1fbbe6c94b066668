"""Folders of unfinished work, from which an interrupted run goes on."""

from pathlib import Path
from typing import Any

from steps.files import read_json, refuse_foreign_files, remove, write_json

PLAN = "plan.json"  # all that the bytes of the work depend on


def work_folder(work: Path | None, output: Path) -> Path:
    """Return the folder that the option ``--work`` names, by default one beside the output."""
    return work or output.with_name(output.name + ".work")


def open_work(plan: dict[str, Any], work: Path, ours: set[str]) -> bool:
    """Open a folder of unfinished work; what is there of another plan is deleted.

    Args:
        plan: ready for JSON.
        ours: names of the files that may be deleted there, now or when the work is finished.
    Returns:
        Whether there is some of this plan.
    """
    if work.is_dir():
        refuse_foreign_files(work, {PLAN, *ours})
        if (work / PLAN).is_file() and read_json(work / PLAN) == plan:
            return True
    remove(work)
    write_json(work / PLAN, plan)
    return False
