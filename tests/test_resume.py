"""``slurm/resume`` with stand-ins for SLURM's commands; tests/slurm runs it on a real one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCRIPT = ROOT / "workflow/profiles/slurm/resume"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder that is reached through a link; the stand-ins write what was called."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "bin").mkdir()
    # Cancelled jobs are gone; that of another folder stays, and the user's own shell in this one.
    own = f'[ -e {tmp_path}/scancel ] || echo "7|{tmp_path}/real|rule_train_wildcards_icrm_0"'
    others = f'echo "8|{tmp_path}/elsewhere|rule_train"; echo "9|{tmp_path}/real|(null)"'
    stand_in(tmp_path, "squeue", f"{own}; {others}")
    for name in ("scancel", "snakemake"):
        stand_in(tmp_path, name, f'echo "$*" >>{tmp_path}/{name}')
    return tmp_path


def stand_in(folder: Path, name: str, command: str) -> None:
    path = folder / "bin" / name
    path.write_text(f"#!/bin/bash\n{command}\n")  # with env the process would have bash's name
    path.chmod(0o755)


def resume(folder: Path, programs: str = os.environ["PATH"]) -> tuple[int, str]:
    """Return the exit status and the errors.

    Args:
        programs: folders of what has no stand-in.
    """
    path = f"{folder}/bin:{programs}"
    result = subprocess.run(
        [SCRIPT, "all"],
        cwd=folder / "link",
        # A shell that went through the link says so; bash believes it.
        env=os.environ | {"PATH": path, "PWD": str(folder / "link")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return result.returncode, result.stderr


def test_jobs_of_the_folders_rules_are_cancelled_wherever_a_link_leads(folder: Path) -> None:
    assert resume(folder) == (0, "")
    assert (folder / "scancel").read_text() == "--quiet 7\n"
    unlock, again = (folder / "snakemake").read_text().splitlines()
    assert (unlock, again) == ("--profile slurm --unlock all", "--profile slurm all")


def test_nothing_starts_where_squeue_cannot_tell_whether_jobs_are_left(folder: Path) -> None:
    fails = f"[ ! -e {folder}/scancel ] || {{ echo 'Unable to contact slurm' >&2; exit 1; }}"
    stand_in(folder, "squeue", f'{fails}; echo "7|{folder}/real|rule_train"')
    code, errors = resume(folder)
    assert code == 1 and "Unable to contact" in errors
    assert not (folder / "snakemake").exists()


def test_nothing_is_cancelled_where_pgrep_cannot_tell_whether_a_controller_lives(
    folder: Path,
) -> None:
    (folder / "without_pgrep").mkdir()
    for name in ("bash", "awk", "readlink", "sleep", "tr"):
        (folder / "without_pgrep" / name).symlink_to(shutil.which(name))
    code, errors = resume(folder, str(folder / "without_pgrep"))
    assert code == 1 and errors.startswith("error: without pgrep nobody knows")
    assert not (folder / "scancel").exists() and not (folder / "snakemake").exists()


@pytest.mark.parametrize("missing", ["snakemake", "squeue", "scancel"])
def test_nothing_is_cancelled_where_a_program_is_missing(folder: Path, missing: str) -> None:
    (folder / "others").mkdir()
    for name in ("awk", "bash", "pgrep", "readlink", "sleep", "tr"):
        (folder / "others" / name).symlink_to(shutil.which(name))
    (folder / "bin" / missing).unlink()
    code, errors = resume(folder, str(folder / "others"))
    assert (code, errors) == (1, f"error: there is no {missing} on the PATH\n")
    assert not (folder / "scancel").exists()


def test_the_folders_own_snakemake_goes_first(folder: Path) -> None:
    own = folder / "real/.venv/bin"
    own.mkdir(parents=True)
    (folder / "bin/snakemake").rename(own / "snakemake")
    stand_in(folder, "snakemake", "exit 9")
    assert resume(folder) == (0, "")
    assert (folder / "snakemake").exists()


def test_jobs_that_do_not_end_are_named(folder: Path) -> None:
    stand_in(folder, "sleep", f"echo >>{folder}/slept")
    ended = f"[ -e {folder}/slept ] && [ $(wc -l <{folder}/slept) -gt 30 ]"
    own = "".join(f'echo "{job}|{folder}/real|rule_train"; ' for job in (7, 8))
    stand_in(folder, "squeue", f"{ended} || {{ {own} }}")
    assert resume(folder) == (0, "waiting for jobs 7 8 to end\n")


def test_nothing_is_cancelled_while_the_controller_lives(folder: Path) -> None:
    stand_in(folder, "snakemake", "echo started; read -r")
    living = subprocess.Popen(
        [folder / "bin/snakemake", "all"],
        cwd=folder / "real",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        living.stdout.readline()
        code, errors = resume(folder)
        assert code == 1 and f"process {living.pid}; let it finish" in errors
        assert not (folder / "scancel").exists()
    finally:
        living.communicate(b"\n")
