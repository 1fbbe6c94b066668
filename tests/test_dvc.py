"""The same jobs under Snakemake and DVC, on the first steps of the tiny experiment."""

import importlib.util
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from steps.dvc.graph import plan_jobs
from steps.dvc.stages import dvc_yaml
from tests.conftest import ROOT
from tests.dvc_repository import (
    STAGE,
    TARGET,
    call,
    change,
    commit,
    dvc,
    make_repository,
    snakemake,
    steps_dvc,
)

NOTHING_TO_DO = "Nothing to be done"
UP_TO_DATE = "Data and pipelines are up to date."
S3_KEY = "AKIAQZXSWEDCVFRTGBNH"
S3_SECRET = "zqSecretOfTheRemote0123456789abcdefghijk"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny experiment up to `STAGE`, made by DVC and committed."""
    folder = make_repository(tmp_path_factory.mktemp("made") / "repository")
    dvc(folder, "repro", STAGE)
    commit(folder)
    return folder


def clone(repository: Path, folder: Path) -> Path:
    call(repository, "git", "clone", "--quiet", str(repository), str(folder))
    return folder


@pytest.fixture(scope="module")
def pulled(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with the data out of a remote folder, as docs/dvc.md makes it."""
    folder = tmp_path_factory.mktemp("pulled")
    made = clone(repository, folder / "clone")
    for each in (repository, made):
        dvc(each, "remote", "add", "store", str(folder / "store"))
    dvc(repository, "push", "--remote", "store", "--with-deps", STAGE)
    dvc(made, "pull", "--remote", "store", "--with-deps", STAGE)
    adopt(made)
    return made


def adopt(folder: Path) -> None:
    """What `make adopt` does, up to `STAGE`."""
    dvc(folder, "status", "--quiet", "--with-deps", STAGE)
    snakemake(folder, TARGET, "--touch", "--forceall")


def runs(printed: str) -> set[str]:
    return set(re.findall(r"^Running stage '(.+)'", printed, re.M))


def planned(folder: Path) -> set[str]:
    """The rules of the jobs that Snakemake would run."""
    table = snakemake(folder, TARGET, "--dry-run", "--quiet", "host")
    # The jobs of a group are indented.
    return set(re.findall(r"^ *(?:local)?rule (\w+):", table, re.M))


@contextmanager
def s3() -> Iterator[tuple[str, dict[str, str]]]:
    """A bucket on the loopback: its URL and endpoint, and what the client's environment needs."""
    for package in ("moto", "dvc_s3"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed; see requirements-s3.txt")
    import boto3
    from moto.server import ThreadedMotoServer

    secrets = {"AWS_ACCESS_KEY_ID": S3_KEY, "AWS_SECRET_ACCESS_KEY": S3_SECRET}
    variables = secrets | {"NO_PROXY": "127.0.0.1", "AWS_DEFAULT_REGION": "us-east-1"}
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    try:
        names = {name.lower(): value for name, value in secrets.items()}
        client = boto3.client("s3", "us-east-1", endpoint_url=endpoint, **names)
        client.create_bucket(Bucket="icrm")
        yield endpoint, variables
    finally:
        server.stop()


def test_the_committed_file_is_that_of_the_snakefile(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m steps.dvc stages` writes it anew."""
    monkeypatch.chdir(ROOT)
    fresh = dvc_yaml("quickstart", plan_jobs("quickstart"))
    assert (ROOT / "dvc.yaml").read_text() == fresh


def test_stages_are_the_jobs_that_snakemake_prints(repository: Path) -> None:
    """Seen from outside: files and commands of a dry run of everything."""
    options = ["--dry-run", "--forceall", "--printshellcmds", "--quiet", "host"]
    printed = re.sub(r"^ +", "", snakemake(repository, *options), flags=re.M)
    jobs = re.findall(
        r"^(?:local)?rule \w+:\n(?:input: (.+)\n)?output: (.+)\n(?:.+\n)*?"
        r"(?:Shell command: )?(python -m .+?) +2>&1",
        printed,
        re.M,
    )
    stages = yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]
    del stages["parameters"]
    # A stage has the run card besides, which Snakemake does not watch.
    theirs = {
        (
            frozenset(stage["deps"]),
            frozenset(out for out in stage["outs"] if "/cards/" not in out),
            stage["cmd"].partition(" ")[2].rstrip(),
        )
        for stage in stages.values()
    }
    ours = {
        (frozenset(filter(None, inputs.split(", "))), frozenset(outputs.split(", ")), cmd)
        for inputs, outputs, cmd in jobs
    }
    assert ours == theirs and len(ours) == len(stages)


def test_after_a_clone_and_a_pull_nothing_is_to_be_done(pulled: Path) -> None:
    assert NOTHING_TO_DO in snakemake(pulled, TARGET, "--dry-run")
    assert UP_TO_DATE in dvc(pulled, "status", "--with-deps", STAGE)
    cards = call(pulled, "python", "-m", "steps.provenance", TARGET)
    assert "are those of the run cards" in cards
    # The model's files lie in the working tree and in the cache as one.
    cached = {path.stat().st_ino for path in (pulled / ".dvc/cache/files").rglob("*")}
    weights = pulled / "resources/models/tiny-16x3-seed0/model.safetensors"
    assert weights.stat().st_ino in cached


def test_an_s3_remote_holds_the_data_and_no_secret_stays(repository: Path, tmp_path: Path) -> None:
    folder = clone(repository, tmp_path / "clone")
    with s3() as (endpoint, variables):
        for each in (repository, folder):
            dvc(each, "remote", "add", "bucket", "s3://icrm/store")
            dvc(each, "remote", "modify", "bucket", "endpointurl", endpoint)
        dvc(repository, "push", "--remote", "bucket", "--with-deps", STAGE, **variables)
        dvc(folder, "pull", "--remote", "bucket", "--with-deps", STAGE, **variables)
    assert UP_TO_DATE in dvc(folder, "status", "--with-deps", STAGE)
    for file in (path for each in (repository, folder) for path in each.rglob("*")):
        assert file.is_dir() or S3_SECRET.encode() not in file.read_bytes(), file


def test_a_changed_setting_reruns_the_same_in_both(pulled: Path) -> None:
    change(pulled / "steps/groups/select.py", "def run(", "# why\ndef run(")  # changes nothing
    change(pulled / "config/tiny.yaml", "max_tokens: 200", "max_tokens: 150")
    shown = json.loads(dvc(pulled, "params", "diff", "--json"))
    assert shown["config/tiny.yaml"]["selection.max_tokens"]["new"] == 150
    assert planned(pulled) == {"select_groups"}
    assert runs(dvc(pulled, "repro", STAGE)) == {"parameters", "select_groups"}
    adopt(pulled)

    # What Snakemake makes is DVC's after a commit.
    change(pulled / "config/tiny.yaml", "problems: 36", "problems: 30")
    assert planned(pulled) == {"prepare_groups", "select_groups"}
    snakemake(pulled, TARGET)
    dvc(pulled, "repro", "parameters")
    dvc(pulled, "commit", "--force", "--with-deps", STAGE)
    adopt(pulled)
    assert UP_TO_DATE in dvc(pulled, "status", "--with-deps", STAGE)
    assert NOTHING_TO_DO in snakemake(pulled, TARGET, "--dry-run")


def test_other_jobs_need_another_dvc_yaml(repository: Path, tmp_path: Path) -> None:
    folder = clone(repository, tmp_path / "clone")
    change(folder / "config/tiny.yaml", "seeds: [0, 1]", "seeds: [0, 1, 2]")
    printed = dvc(folder, "repro", "parameters", expect=255)
    assert "run `python -m steps.dvc stages --experiment tiny`, then `dvc repro` again" in printed
    steps_dvc(folder, "stages")
    dvc(folder, "repro", "parameters")
    assert "train-orm-2" in json.loads((folder / "results/tiny/parameters.json").read_text())


def test_nothing_is_adopted_that_differs_and_the_difference_is_shown(
    repository: Path, tmp_path: Path
) -> None:
    folder = clone(repository, tmp_path / "clone")  # of which nothing has been pulled
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("requirements.lock", ".venv/installed"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    printed = call(folder, "make", "adopt", expect=2)
    assert re.search(r"deleted: +resources/models/tiny-16x3-seed0", printed)
    assert "error: nothing is adopted, for DVC finds files other than in dvc.lock; bring" in printed
