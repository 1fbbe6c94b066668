"""Uploading an exported model, by the real client to a hub on the loopback."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.errors import UserError
from steps.export.push import check_export
from tests.exported_models import export, saved_model
from tests.hub import Hub, serve
from tests.hub_upload import TOKEN, UploadHandler

FILES = {"README.md", "config.json", "model.safetensors", "provenance.json", "reward_model.json"}
FILES |= {"tokenizer.json", "tokenizer_config.json"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("push")
    exported = export(saved_model("smollm2", place), place / "exported")
    (exported / ".snakemake_timestamp").touch()
    return exported


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve(UploadHandler) as running:
        yield running


def push(
    hub: Hub, folder: Path, tmp_path: Path, *arguments: str, token: str = TOKEN
) -> subprocess.CompletedProcess:
    (tmp_path / "hf").mkdir(exist_ok=True)
    (tmp_path / "hf/token").write_text(token)
    words = ["steps.export", "push", "--model", str(folder), "--repo", "me/reward-model"]
    return hub.run(tmp_path, *words, *arguments)


def test_the_dry_run_lists_everything_and_sends_nothing(hub, folder, tmp_path) -> None:
    result = push(hub, folder, tmp_path)
    assert result.returncode == 0, result.stderr
    assert hub.asked == []
    for name in FILES:
        assert f" MB  {name}\n" in result.stdout
    assert ".snakemake_timestamp" not in result.stdout
    assert (folder / "README.md").read_text() in result.stdout


def test_an_upload_arrives_whole_and_the_token_is_not_shown(hub, folder, tmp_path) -> None:
    result = push(hub, folder, tmp_path, "--upload")
    assert result.returncode == 0, result.stderr
    arrived = hub.repositories["models/me/reward-model"].files
    assert arrived == {name: (folder / name).read_bytes() for name in FILES}
    assert "me/reward-model" in result.stdout
    assert TOKEN not in result.stdout + result.stderr


def test_a_token_without_rights_is_one_sentence(hub, folder, tmp_path) -> None:
    result = push(hub, folder, tmp_path, "--upload", token="hf_another")
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "me/reward-model" in line and "token" in line
    assert "Traceback" not in result.stderr and "hf_another" not in result.stderr


@pytest.mark.parametrize(
    ("damage", "repo", "message"),
    [
        ("model.safetensors", "me/model", r"is not what provenance\.json describes"),
        (None, "just-a-name", "names no owner; give user/name"),
        (None, "a b/c", "give user/name"),
    ],
)
def test_what_is_no_export_or_no_repository_is_refused(
    folder, tmp_path, damage: str | None, repo: str, message: str
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in FILES:
        (copy / name).write_bytes((folder / name).read_bytes() + (b" " if name == damage else b""))
    with pytest.raises(UserError, match=message):
        check_export(copy, repo)


def test_a_folder_that_was_not_exported_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(
        UserError, match=r"has no README\.md; make it with `python -m steps\.export`"
    ):
        check_export(tmp_path, "me/model")
