"""Outputs are whole or absent, and damaged inputs are named."""

import errno
import json
import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from steps.errors import UserError, run_command
from steps.files import atomic_path, make_again, read_json, sha256, write_json, write_text
from steps.groups.files import read_file
from steps.groups.schema import GROUPS, PromptGroup, Response, read_groups, write_groups
from steps.pairs.schema import PAIRS, read_pairs
from steps.provenance import RunCard
from steps.score.schema import read_scores
from tests.half_written import half_written


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with atomic_path(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / "file").write_text(text)
    assert (tmp_path / "folder/file").read_text() == "two"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_saved_weights_follow_the_umask(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        with atomic_path(tmp_path / "model") as temporary:
            temporary.mkdir()
            save_file({"a": torch.zeros(1)}, temporary / "a.safetensors")
        with atomic_path(tmp_path / "b.safetensors") as temporary:
            save_file({"b": torch.zeros(1)}, temporary)
    finally:
        os.umask(before)
    for name in ("model/a.safetensors", "b.safetensors"):
        assert (tmp_path / name).stat().st_mode & 0o777 == mode


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    write_text(tmp_path / "folder/thesis.tex", "years of work")
    with (
        pytest.raises(UserError, match=r"holds 'thesis\.tex', which this step does not write"),
        atomic_path(tmp_path / "folder") as temporary,
    ):
        temporary.mkdir()
        (temporary / "file").touch()
    assert [p.name for p in tmp_path.rglob("*.*")] == ["thesis.tex"]


def test_left_overs_of_a_kill_are_not_taken_for_output(tmp_path: Path) -> None:
    with half_written(tmp_path / "a.txt"):
        pass  # killed
    assert [p.read_text() for p in tmp_path.glob(".a.txt.*.part")] == ["half"]
    write_text(tmp_path / "a.txt", "whole")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    with half_written(tmp_path / "a.txt") as other:
        write_text(tmp_path / "a.txt", "whole")
        assert (tmp_path / "a.txt").read_text() == "whole"
        other.communicate()
    assert (tmp_path / "a.txt").read_text() == "half and half"


def test_hash_of_a_folder_ignores_snakemakes_time_stamp(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "x")
    before = sha256(tmp_path)
    (tmp_path / ".snakemake_timestamp").touch()
    assert sha256(tmp_path) == before
    write_text(tmp_path / "a", "y")
    assert sha256(tmp_path) != before


def test_damaged_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"a": 1')
    with pytest.raises(UserError, match=r"m\.json is not valid JSON"):
        read_json(tmp_path / "m.json")
    with pytest.raises(UserError, match=r"n\.json is not there"):
        read_json(tmp_path / "n.json")


def test_the_remedy_deletes_what_snakemake_makes_as_one(tmp_path: Path) -> None:
    made = tmp_path / "items"
    file = made / "icrm/seed1.parquet"
    write_text(file, "x")
    assert make_again(file) == f"delete {file} and run its step again"
    (made / ".snakemake_timestamp").touch()
    for _ in range(2):  # the file is damaged, then gone
        assert make_again(file) == f"delete {made} and run its step again"
        file.unlink(missing_ok=True)
    assert make_again(tmp_path / "pairs.parquet") == "run the step that writes it"


def test_no_disk_space_is_one_sentence(capsys: pytest.CaptureFixture) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "results/x")

    with pytest.raises(SystemExit) as exit_:
        run_command(full)
    assert "No space left on device" in str(exit_.value.code)
    assert "results/x" in str(exit_.value.code)


def test_a_full_disk_names_the_output(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_path(tmp_path / "big.bin"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(SystemExit) as exit_:
        run_command(write)
    assert str(tmp_path / "big.bin") in str(exit_.value.code)
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_the_users_only_if_he_named_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> None:
        (tmp_path / "model/config.json").read_text()

    monkeypatch.setattr(sys, "argv", ["step", "--model", str(tmp_path / "model")])
    with pytest.raises(SystemExit, match=r"cannot use .*config\.json: .*; correct the path"):
        run_command(read)
    monkeypatch.setattr(sys, "argv", ["step", "--model", str(tmp_path / "other")])
    with pytest.raises(FileNotFoundError):
        run_command(read)


def test_faults_of_the_program_keep_their_traceback() -> None:
    def fault() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(fault)


def group(**changes) -> PromptGroup:
    values = {
        "group_id": "g",
        "source": "s",
        "category": "c",
        "prompt": "p",
        "responses": (Response("abc", correct=True, error_start=None), Response("b", score=1.5)),
    }
    return PromptGroup(**values | changes)


def test_groups_survive_the_file(tmp_path: Path) -> None:
    groups = [
        group(),
        group(group_id="h", responses=(Response("xyz", error_start=1, error_end=3),)),
    ]
    write_groups(tmp_path / "g.parquet", groups)
    assert read_groups(tmp_path / "g.parquet") == groups


def test_groups_survive_being_written_and_read_in_pieces(tmp_path: Path, monkeypatch) -> None:
    groups = [group(group_id=f"g{k}", prompt=f"prompt {k}") for k in range(5)]
    monkeypatch.setattr("steps.groups.schema.ROWS_AT_ONCE", 2)
    write_groups(tmp_path / "g.parquet", groups)
    assert read_groups(tmp_path / "g.parquet") == groups
    assert pq.ParquetFile(tmp_path / "g.parquet").num_row_groups == 3


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"prompt": "  "}, "prompt is empty"),
        ({"responses": ()}, "no response"),
        ({"responses": (Response("a"), Response(" \n"))}, "response 1: the text is empty"),
        ({"responses": (Response("a", error_start=0),)}, "both be set"),
        ({"responses": (Response("a", error_start=0, error_end=9),)}, "outside the text"),
        ({"responses": (Response("a", score=float("nan")),)}, "not a number"),
        ({"group_id": ""}, "group_id is empty"),
    ],
)
def test_rows_that_break_a_rule_are_named(tmp_path: Path, bad: dict, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        write_groups(tmp_path / "g.parquet", [group(group_id="first"), group(**bad)])
    assert "row 1" in str(error.value)
    assert not (tmp_path / "g.parquet").exists()


def test_group_ids_are_distinct(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="twice"):
        write_groups(tmp_path / "g.parquet", [group(), group()])


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "g.parquet"
    write_groups(path, [group()])
    pq.write_table(pq.read_table(path).drop_columns(["prompt"]), path)
    with pytest.raises(UserError, match="column 'prompt' is missing"):
        read_groups(path)


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.parquet"
    write_groups(path, [group()])
    table = pq.read_table(path).drop_columns(["responses"])
    pq.write_table(table.append_column("responses", pa.array(["text"])), path)
    with pytest.raises(UserError, match="lacks the field 'text'"):
        read_groups(path)
    table = pq.read_table(path).drop_columns(["responses", "prompt"])
    pq.write_table(table.append_column("prompt", pa.array([[1]])), path)
    with pytest.raises(UserError, match=r"'prompt'|'responses'"):
        read_groups(path)


@pytest.mark.parametrize("reader", [read_groups, read_scores])
def test_a_parquet_cut_in_half_is_named(tmp_path: Path, reader) -> None:
    path = tmp_path / "g.parquet"
    write_groups(path, [group()])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"g\.parquet is not a whole parquet file"):
        reader(path)


@pytest.mark.parametrize("reader", [read_groups, read_file])
def test_a_parquet_whose_text_does_not_decode_is_named(tmp_path: Path, reader) -> None:
    path = tmp_path / "g.parquet"
    write_groups(path, [group()])
    table = pq.read_table(path).drop_columns(["prompt"])
    pq.write_table(table.append_column("prompt", pa.array([b"\xff"]).view(pa.string())), path)
    with pytest.raises(UserError, match=r"g\.parquet is not a whole parquet file \(.*\); "):
        reader(path)


@pytest.mark.parametrize("reader", [read_groups, read_file])
def test_a_parquet_that_may_not_be_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader
) -> None:
    path = tmp_path / "g.parquet"
    write_groups(path, [group()])

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Failed to open. Detail: [errno 13]")  # as Arrow does

    monkeypatch.setattr(pq, "ParquetFile", refuse)
    with pytest.raises(SystemExit) as exit_:
        run_command(lambda: reader(path))
    told = str(exit_.value.code)
    assert told.startswith(f"error: cannot use {path}: Permission denied; fix the permissions")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("nobody", 0, 1), "no group 'nobody'"),
        (("g", 1, 1), "two responses"),
        (("g", 0, 2), "has only 2 responses"),
    ],
)
def test_pairs_must_name_responses(tmp_path: Path, row: tuple, words: str) -> None:
    values = dict(zip(PAIRS.names, [*row, False, None], strict=True))
    pq.write_table(pa.Table.from_pylist([values], schema=PAIRS), tmp_path / "p.parquet")
    with pytest.raises(UserError, match=words):
        read_pairs(tmp_path / "p.parquet", [group()])


def test_run_card_names_its_inputs(tmp_path: Path) -> None:
    write_json(tmp_path / "in.json", {})
    path, inputs = tmp_path / "card.json", [tmp_path / "in.json"]
    RunCard("step", {"key": 1}, seed=3, path=path, inputs=inputs).write([], extra=4)
    facts = json.loads((tmp_path / "card.json").read_text())
    assert facts["inputs"] == {str(tmp_path / "in.json"): sha256(tmp_path / "in.json")}
    assert facts["seed"] == 3
    assert facts["extra"] == 4
    assert facts["versions"]["torch"]


def test_schema_is_what_the_file_has(tmp_path: Path) -> None:
    write_groups(tmp_path / "g.parquet", [group()])
    assert pq.read_schema(tmp_path / "g.parquet").names == GROUPS.names
