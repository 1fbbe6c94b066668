"""The scoring of cached sets: all sets or none."""

import errno
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from steps.backbone import load_generator, load_reward_model, load_tokenizer
from steps.cache.build import Models, build_cache
from steps.cache.encode import encode_groups
from steps.cache.key import cache_key
from steps.cache.store import Cache
from steps.chat import ChatFormat
from steps.errors import UserError
from steps.files import sha256, write_json
from steps.groups.schema import write_groups
from steps.score.cached_sets import main
from steps.score.schema import Origin, read_origin, read_scores, write_scores
from tests.conftest import ROOT

SETS = ("one", "two")


@pytest.fixture(scope="module")
def prepared(backbone: Path, experiment, groups, tmp_path_factory) -> Path:
    """A folder with an untrained model, and the groups and caches of two sets."""
    folder = tmp_path_factory.mktemp("score")
    chat = ChatFormat(load_tokenizer(backbone, experiment))
    key = cache_key(experiment, backbone, chat, layer=1)
    models = Models(load_generator(backbone, experiment))
    for name, part in zip(SETS, (groups[:2], groups[2:]), strict=True):
        write_groups(folder / "groups" / f"{name}.parquet", part)
        output = folder / "cache" / name
        build_cache(models, encode_groups(part, chat), key, 999, folder / "work", output)
    torch.manual_seed(0)
    load_reward_model(backbone, experiment).save_pretrained(folder / "model")
    facts = {"method": "orm", "seed": 0, "first_trained_layer": 1}
    digest = Cache(folder / "cache" / "one").meta["digest"]
    write_json(folder / "model" / "reward_model.json", facts | {"cache": digest})
    return folder


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, output: Path, *more: str) -> None:
    paths = {part: folder / part for part in ("model", "groups", "cache")}
    arguments = [f"--{part}={path}" for part, path in paths.items()]
    arguments += [f"--experiment={ROOT / 'config/tiny.yaml'}", f"--output={output}"]
    monkeypatch.setattr(sys, "argv", ["score", *arguments, "--sets", *SETS, *more])
    main()


def test_every_response_of_every_set_is_scored(
    monkeypatch, prepared: Path, tmp_path: Path, groups
) -> None:
    run(monkeypatch, prepared, tmp_path / "scores")
    assert sorted(p.name for p in (tmp_path / "scores").iterdir()) == ["one.parquet", "two.parquet"]
    for name, part in zip(SETS, (groups[:2], groups[2:]), strict=True):
        scores = read_scores(tmp_path / "scores" / f"{name}.parquet")
        origin = read_origin(tmp_path / "scores" / f"{name}.parquet")
        assert origin == Origin("orm seed 0", sha256(prepared / "model"), "orm", 0)
        wanted = [(g.group_id, k) for g in part for k in range(len(g.responses))]
        assert list(zip(scores["group_id"], scores["response"], strict=True)) == wanted


def test_a_reward_that_is_no_number_stops_unless_it_may_be_kept(
    monkeypatch, prepared: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "prepared"
    shutil.copytree(prepared, folder)
    weights = load_file(folder / "model/model.safetensors")
    weights["score.weight"][:] = float("nan")
    save_file(weights, folder / "model/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="a reward that is not a finite number; the model has di"):
        run(monkeypatch, folder, tmp_path / "scores")
    assert not (tmp_path / "scores").exists()
    run(monkeypatch, folder, tmp_path / "scores", "--keep-not-finite")
    path = tmp_path / "scores/one.parquet"
    scores = read_scores(path, finite=False)
    assert scores["reward"].isna().all() and scores["n_tokens"].gt(0).all()
    with pytest.raises(UserError, match="row 0: the reward is not a finite number"):
        read_scores(path)


def other_groups(folder: Path) -> None:
    shutil.copy(folder / "groups/one.parquet", folder / "groups/two.parquet")


def no_groups(folder: Path) -> None:
    (folder / "groups/two.parquet").unlink()


def no_cache(folder: Path) -> None:
    shutil.rmtree(folder / "cache/two")


def damaged_cache(folder: Path) -> None:
    path = folder / "cache/two/hidden.bin"
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (other_groups, "two was made from other texts"),
        (no_groups, r"two\.parquet is not there"),
        (no_cache, "two/meta.json is not there"),
        (damaged_cache, "hidden.bin has changed"),
    ],
)
def test_a_bad_second_set_leaves_the_scores_of_the_first_as_they_were(
    monkeypatch, prepared: Path, tmp_path: Path, damage, words: str
) -> None:
    folder = tmp_path / "prepared"
    shutil.copytree(prepared, folder)
    damage(folder)
    old = tmp_path / "scores" / "one.parquet"
    old.parent.mkdir()
    old.write_text("old")
    with pytest.raises(UserError, match=words):
        run(monkeypatch, folder, old.parent)
    assert [p.name for p in old.parent.iterdir()] == ["one.parquet"]
    assert old.read_text() == "old"


def test_a_full_disk_at_the_second_set_leaves_neither(
    monkeypatch, prepared: Path, tmp_path: Path
) -> None:
    def write(path: Path, scores, origin: Origin) -> None:
        write_scores(path, scores, origin)
        if "two" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("steps.score.schema.write_scores", write)
    with pytest.raises(OSError, match="No space left"):
        run(monkeypatch, prepared, tmp_path / "scores")
    assert not list((tmp_path / "scores").iterdir())
