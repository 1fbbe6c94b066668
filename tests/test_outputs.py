"""Outputs that would destroy an input, or could not be written, are refused before any work."""

import errno
import sys
from importlib import import_module
from pathlib import Path

import pytest

from steps.errors import UserError
from steps.outputs import check_outputs

# What each command is given; IN is the input that it must not write over.
COMMANDS = {
    "score.__main__": "--model m --input IN --output IN",
    "score.cached_sets": "--experiment e --model m --groups IN --cache c --sets s --output IN",
    "score.ensemble": "--experiment e --members IN b --method m --sets s --output IN",
    "export.__main__": "--model IN --output IN",
    "benchmarks.__main__ groups": "--benchmark rmbench --rows IN --output IN",
    "benchmarks.__main__ items": "--benchmark rmbench --groups g --scores IN --output IN",
    "benchmarks.__main__ score": "--benchmark rmbench --items i --output o.csv --card i",
    "benchmarks.rebuild": "--folders f --output f/pairs.jsonl.gz",
    "benchmarks.release_prompts": "--experiment e --raw IN --hashes h --output IN",
    "groups.__main__ select": "--experiment e --prepared IN --backbone b --output IN",
    "pairs.__main__": "--groups IN --output IN",
    "plan.__main__": "--experiment IN --output IN",
    "preferences.__main__": "--experiment e --groups g --scores IN --evaluation v --output o "
    "--report IN",
    "sample.__main__": "--experiment e --use pairs --model m --groups IN --output IN",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_does_not_write_over_its_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """None of the inputs is there: the names alone are looked at."""
    monkeypatch.chdir(tmp_path)
    module, *action = command.split()
    words = COMMANDS[command].replace("IN", "in.parquet").split()
    monkeypatch.setattr(sys, "argv", [module, *action, *words])
    with pytest.raises(UserError, match=r"is to be written, but .* is read and would be lost"):
        import_module(f"steps.{module}").main()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("data/rows.jsonl", "rows.jsonl is to be written, but .*rows.jsonl is read"),
        ("other/../data/rows.jsonl", "is to be written, but .*rows.jsonl is read"),
        ("link.jsonl", "link.jsonl is to be written, but .*rows.jsonl is read"),
        ("model/scores.parquet", "scores.parquet is to be written, but .*model is read"),
        ("card.json", "card.json is to be written twice; give each output a path of its own"),
        ("data", "data is to be written, but .*rows.jsonl is read"),
        ("empty", "empty is a folder, but a file is to be written; give another name"),
    ],
)
def test_an_output_is_neither_read_nor_written_twice(tmp_path: Path, file: str, words: str) -> None:
    for folder in ("data", "model", "empty", "other"):
        (tmp_path / folder).mkdir()
    rows = tmp_path / "data/rows.jsonl"
    rows.touch()
    (tmp_path / "link.jsonl").symlink_to(rows)
    inputs = [rows, tmp_path / "model", None]
    with pytest.raises(UserError, match=words):
        check_outputs([tmp_path / "card.json", tmp_path / file, None], inputs)
    check_outputs([tmp_path / "data/scores.parquet", None], inputs, tmp_path / "new/folder")
    assert not (tmp_path / "new").exists()


def test_a_folder_is_not_written_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file is a file, but a folder is to be written"):
        check_outputs([None], [], tmp_path / "file")


def test_a_place_that_cannot_be_written_is_the_systems_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file/folder/scores.parquet"
    with pytest.raises(OSError) as error:
        check_outputs([path], [])
    assert (error.value.errno, error.value.filename) == (errno.ENOTDIR, str(path))
