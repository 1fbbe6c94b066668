"""Where the tests find reference data that is not part of the repository."""

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).resolve().parents[1] / "../shared/data"


def reference_data(name: str) -> Path:
    """The folder of the reference data set `name`; skips the calling test when it is absent.

    The parent folder is the environment variable ICRM_REFERENCE_DATA, by default ../shared/data
    beside the repository."""
    folder = Path(os.environ.get("ICRM_REFERENCE_DATA", _DEFAULT)) / name
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}; set ICRM_REFERENCE_DATA to its parent folder")
    return folder
