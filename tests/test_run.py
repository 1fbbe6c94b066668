"""What a training run refuses before it starts."""

import argparse
import shutil
from pathlib import Path

import pytest

from steps.backbone import load_reward_model, load_tokenizer
from steps.errors import UserError
from steps.groups.schema import write_groups
from steps.pairs.schema import write_pairs
from steps.provenance import RunCard
from steps.stop import STOPPED
from steps.train import run as run_module
from steps.train.callbacks import finished
from steps.train.checkpoints import last_checkpoint
from steps.train.run import train_model
from steps.train.save import write_frozen
from tests.damage import flip
from tests.stopping import after_a_request
from tests.training import UPPER, make_cache, make_pairs, with_settings

CARDS = Path("results/x/cards")


def arguments(folder: Path, backbone: Path, method: str, **changes) -> argparse.Namespace:
    given = {
        "method": method,
        "seed": 0,
        "backbone": backbone,
        "groups": folder / "groups.parquet",
        "pairs": folder / "pairs.parquet",
        "cache": folder / "cache",
        "frozen": folder / "frozen.safetensors",
        "work": None,
        "output": folder / "model",
        "training_log": folder / "log.csv",
        "card": None,
        "fsdp": False,
    }
    return argparse.Namespace(**given | changes)


@pytest.fixture
def folder(backbone, experiment, groups, tmp_path: Path) -> Path:
    write_groups(tmp_path / "groups.parquet", groups)
    make_cache(backbone, experiment, groups, tmp_path)
    return tmp_path


def test_pairs_without_margins_are_refused_where_a_method_needs_them(
    folder, backbone, experiment, groups
) -> None:
    pairs = make_pairs(groups).assign(same_model=False)
    pairs.loc[5, "margin"] = None
    write_pairs(folder / "pairs.parquet", pairs)
    with pytest.raises(UserError, match=r"pairs\.parquet: row 5: .* no rating margin"):
        train_model(arguments(folder, backbone, "orm_margin"), with_settings(experiment, UPPER))


def test_no_pair_is_refused(folder, backbone, experiment, groups) -> None:
    write_pairs(folder / "pairs.parquet", make_pairs(groups).assign(same_model=False)[:0])
    with pytest.raises(UserError, match="has no pair to train on"):
        train_model(arguments(folder, backbone, "orm"), with_settings(experiment, UPPER))


def test_an_ensemble_is_not_trained(folder, backbone, experiment) -> None:
    with pytest.raises(UserError, match="'orm_ensemble' joins the models of 'orm'"):
        train_model(arguments(folder, backbone, "orm_ensemble"), experiment)


def test_a_cache_of_another_template_is_refused(
    folder, backbone, experiment, groups, tmp_path: Path
) -> None:
    write_pairs(folder / "pairs.parquet", make_pairs(groups).assign(same_model=False))
    other = tmp_path / "backbone"
    shutil.copytree(backbone, other)
    tokenizer = load_tokenizer(other, experiment)
    tokenizer.chat_template = tokenizer.chat_template.replace("['content']", "['content'] | trim")
    tokenizer.save_pretrained(other)
    with pytest.raises(UserError, match=r"made with another tokenizer or chat template \("):
        train_model(arguments(folder, other, "orm"), with_settings(experiment, UPPER))


@pytest.mark.parametrize("stopped", [False, True])
def test_a_cache_that_changes_under_a_training_leaves_neither_model_nor_checkpoint(
    stopped, folder, backbone, experiment, groups, monkeypatch
) -> None:
    """Found at the end, or, of a training that was stopped before it, at the next start."""
    write_pairs(folder / "pairs.parquet", make_pairs(groups).assign(same_model=False))
    write_frozen(load_reward_model(backbone, experiment), 1, folder / "frozen.safetensors")
    settings = UPPER.model_copy(update={"epochs": 2})
    monkeypatch.chdir(folder)
    RunCard("cache", {}, path=CARDS / "cache.json").write([Path("cache")])
    given = arguments(folder, backbone, "orm", work=folder / "work", card=CARDS / "train.json")

    def damage(trainer) -> bool:
        flip(folder / "cache/hidden.bin")
        return finished(trainer) and not stopped

    def train() -> None:
        train_model(given, with_settings(experiment, settings))

    monkeypatch.setattr(run_module, "finished", damage)
    if stopped:
        with pytest.raises(SystemExit):
            train()
        assert last_checkpoint(folder / "work") is not None
    with pytest.raises(UserError, match=r"hidden\.bin has changed since it was written; delete"):
        train()
    assert not list((folder / "work").glob("checkpoint-*"))
    assert not (folder / "model").exists() and not (folder / "log.csv").exists()


def test_damaged_pairs_are_refused_before_the_training(
    folder, backbone, experiment, groups, monkeypatch
) -> None:
    """They still parse. No checkpoint learns from them, so it trains once they are restored."""
    monkeypatch.chdir(folder)
    pairs, path = make_pairs(groups).assign(same_model=False), folder / "pairs.parquet"
    write_pairs(path, pairs)
    RunCard("pairs", {}, path=CARDS / "pairs.json").write([path])
    right = path.read_bytes()
    pairs.loc[0, "rejected"] = 3
    write_pairs(path, pairs)
    lora = UPPER.model_copy(update={"mode": "lora", "trained_layers": None, "epochs": 1})
    given = arguments(folder, backbone, "orm", frozen=None, card=CARDS / "train.json")
    with pytest.raises(UserError, match=r"pairs\.parquet is not what its step wrote.*delete it"):
        train_model(given, with_settings(experiment, lora))
    assert not (folder / "model.work").exists()
    path.write_bytes(right)
    train_model(given, with_settings(experiment, lora))
    assert (folder / "model").is_dir() and (folder / CARDS / "train.json").is_file()


@pytest.mark.parametrize("changed", ["weights_hash", "method_hash", "package_hash"])
def test_a_checkpoint_of_other_weights_or_code_is_refused(
    changed, folder, backbone, experiment, groups, monkeypatch
) -> None:
    write_pairs(folder / "pairs.parquet", make_pairs(groups).assign(same_model=False))
    lora = UPPER.model_copy(
        update={"mode": "lora", "trained_layers": None, "epochs": 2, "checkpoint_steps": 1}
    )
    given = arguments(folder, backbone, "orm", work=folder / "work")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run_module, "_write", stop)  # after the last checkpoint
        train_model(given, with_settings(experiment, lora))
    monkeypatch.setattr(run_module, changed, lambda _: "another")
    with pytest.raises(UserError, match=r"checkpoints of a run with another (backbone|decl|code)"):
        train_model(given, with_settings(experiment, lora))
    assert last_checkpoint(folder / "work") is not None
    assert not (folder / "model").exists()


def test_sharding_is_refused_where_it_cannot_be(folder, backbone, experiment, groups) -> None:
    write_pairs(folder / "pairs.parquet", make_pairs(groups).assign(same_model=False))
    given = arguments(folder, backbone, "orm", fsdp=True)
    with pytest.raises(UserError, match=r"training\.mode is upper_layers, whose layers are not"):
        train_model(given, with_settings(experiment, UPPER))
    full = UPPER.model_copy(update={"mode": "full", "trained_layers": None})
    with pytest.raises(UserError, match="--fsdp spreads a model over several processes"):
        train_model(given, with_settings(experiment, full))


def test_a_request_before_the_first_step_is_honoured_after_it(
    folder, backbone, experiment, groups, monkeypatch
) -> None:
    """It comes while inputs are read and models loaded, which may take minutes."""
    write_pairs(folder / "pairs.parquet", make_pairs(groups).assign(same_model=False))
    lora = UPPER.model_copy(update={"mode": "lora", "trained_layers": None, "epochs": 2})
    changed = with_settings(experiment, lora)
    given = arguments(folder, backbone, "orm", work=folder / "work")
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(run_module, "load_tokenizer", after_a_request(load_tokenizer))
        train_model(given, changed)
    assert end.value.code == STOPPED
    assert last_checkpoint(folder / "work").name == "checkpoint-1"
    train_model(given, changed)  # the request is forgotten
    assert (folder / "model").is_dir()
