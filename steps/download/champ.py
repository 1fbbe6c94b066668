"""CHAMP, 270 competition problems with real solutions of four language models (MIT license)."""

from pathlib import Path

from steps.download.pypi import WheelFile, fetch
from steps.files import atomic_path

CHAMP = WheelFile(
    package="champ-dataset",
    version="1.0.0",
    wheel_sha256="aa59df5ae28e2ec76a401a46faf3d6395920be8009a01ce451f7d5c131d82201",
    member="champ_dataset/dataset_files/v0.json",
)


def download_champ(output: Path) -> None:
    """Write the data set's JSON to ``output``."""
    with atomic_path(output) as temporary:
        fetch(CHAMP, temporary)
