"""Saved reward models: standard folders that score as they did in training."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
)

from steps.backbone import load_generator, load_lm_head, load_reward_model, load_tokenizer
from steps.cache.store import Cache
from steps.errors import UserError
from steps.score.cached import score_groups
from steps.train.assemble import Assembled, assemble
from steps.train.save import check_frozen, save_reward_model, write_frozen
from tests.training import UPPER, make_cache, make_trainer, with_settings


@pytest.fixture(scope="module")
def cache(backbone: Path, experiment, groups, tmp_path_factory) -> Cache:
    return make_cache(backbone, experiment, groups, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def saved(backbone, experiment, cache, groups, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    settings = UPPER.model_copy(update={"epochs": 2})
    experiment = with_settings(experiment, settings)
    trainer = make_trainer("orm", backbone, experiment, cache, groups, folder / "work")
    trainer.train()
    model = trainer.model.model
    frozen = folder / "frozen.safetensors"
    write_frozen(model, 1, frozen)
    tokenizer = load_tokenizer(backbone, experiment)
    save_reward_model(model, tokenizer, (frozen, 1), folder / "model", {"seed": 0})
    return model, folder / "model"


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "lora", "trained_layers": None},
        {"mode": "full", "trained_layers": None},
        {"mode": "full", "trained_layers": None, "reward_head": "mlp"},
        {"mode": "lora", "trained_layers": None, "reward_head": "mlp"},
        {"reward_head": "mlp"},
    ],
    ids=lambda change: "-".join(map(str, change.values())),
)
def test_every_mode_and_head_survives_save_and_load(
    change, backbone, experiment, cache, groups, tmp_path
) -> None:
    """The rewards after merging, saving and loading are those of the model that was trained."""
    settings = UPPER.model_copy(update=change | {"epochs": 4})
    experiment = with_settings(experiment, settings)
    trainer = make_trainer("icrm", backbone, experiment, cache, groups, tmp_path / "work")
    trainer.train()
    module = trainer.model
    first_layer = module.first_layer
    before = score_groups(module.unwrapped, cache, groups, first_layer, "trained")
    plain = Assembled(module, first_layer).plain_model()
    frozen = None
    if first_layer is not None:
        frozen = (tmp_path / "frozen.safetensors", first_layer)
        write_frozen(plain, first_layer, frozen[0])
    tokenizer = load_tokenizer(backbone, experiment)
    save_reward_model(plain, tokenizer, frozen, tmp_path / "model", {"seed": 0})
    loaded = load_reward_model(tmp_path / "model", experiment)
    after = score_groups(loaded, cache, groups, first_layer, "loaded")
    largest = before["reward"].abs().max()
    assert (before["reward"] - after["reward"]).abs().max() <= 1e-6 * largest
    assert before["reward"].std() > 0.01


def test_a_folder_without_its_mlp_head_is_refused(
    backbone, experiment, cache, groups, tmp_path
) -> None:
    settings = UPPER.model_copy(
        update={"mode": "full", "trained_layers": None, "reward_head": "mlp", "epochs": 1}
    )
    module = assemble(
        with_settings(experiment, settings), backbone, cache, frozenset(), 1.0, 0
    ).module
    tokenizer = load_tokenizer(backbone, experiment)
    save_reward_model(module.model, tokenizer, None, tmp_path / "model", {"seed": 0})
    file = tmp_path / "model/model.safetensors"
    weights = {k: v for k, v in load_file(file).items() if k != "score.3.weight"}
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match="no whole reward head"):
        load_reward_model(tmp_path / "model", experiment)


def test_a_saved_model_scores_as_before(saved, experiment, cache, groups) -> None:
    model, folder = saved
    before = score_groups(model, cache, groups, 1, "before")
    after = score_groups(load_reward_model(folder, experiment), cache, groups, 1, "after")
    assert before["reward"].tolist() == after["reward"].tolist()


def test_the_standard_class_gives_our_rewards_with_padding(
    saved, experiment, cache, groups, backbone
) -> None:
    """`AutoModelForSequenceClassification`, plain attention, a padded batch: the same rewards."""
    model, folder = saved
    scores = score_groups(model, cache, groups, 1, "ours").set_index(["group_id", "response"])
    standard = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows, expected = [], []
    for group in groups:
        for number, response in enumerate(group.responses):
            messages = [
                {"role": "user", "content": group.prompt},
                {"role": "assistant", "content": response.text},
            ]
            ids = tokenizer.apply_chat_template(messages, return_dict=False)
            rows.append({"input_ids": ids})
            expected.append(scores.loc[(group.group_id, number), "reward"])
    batch = tokenizer.pad(rows, return_tensors="pt")
    with torch.no_grad():
        logits = standard(**batch).logits[:, 0].numpy()
    assert len({len(r["input_ids"]) for r in rows}) > 1
    assert np.allclose(logits, expected, atol=1e-5)


def test_frozen_weights_are_stored_once(saved) -> None:
    _, folder = saved
    shard = folder / "model-00001-of-00002.safetensors"
    assert shard.samefile(folder.parent / "frozen.safetensors")


def test_an_untied_lm_head_is_read_from_the_files(backbone, tmp_path: Path, experiment) -> None:
    config = LlamaConfig.from_pretrained(backbone, tie_word_embeddings=False)
    model = LlamaForCausalLM(config)
    model.save_pretrained(tmp_path)
    reward_model = load_reward_model(tmp_path, experiment)
    assert torch.equal(load_lm_head(tmp_path, reward_model), model.lm_head.weight)
    assert not torch.equal(model.lm_head.weight, reward_model.get_input_embeddings().weight)


def test_incomplete_weights_are_refused(backbone, tmp_path: Path, experiment) -> None:
    shutil.copytree(backbone, tmp_path / "model")
    file = tmp_path / "model/model.safetensors"
    weights = {k: v for k, v in load_file(file).items() if ".layers.1." not in k}
    save_file(weights, file, metadata={"format": "pt"})
    for load in (load_generator, load_reward_model):
        with pytest.raises(UserError, match=r"incomplete: 9 are missing.*layers\.1"):
            load(tmp_path / "model", experiment)


def test_truncated_weights_are_named(backbone, tmp_path: Path, experiment) -> None:
    shutil.copytree(backbone, tmp_path / "model")
    file = tmp_path / "model/model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match="cannot load the model"):
        load_generator(tmp_path / "model", experiment)


def test_a_frozen_file_of_other_layers_is_refused(saved, backbone, experiment, tmp_path) -> None:
    model, folder = saved
    frozen = folder.parent / "frozen.safetensors"
    check_frozen(frozen, model, 1)
    with pytest.raises(UserError, match="holds other weights"):
        check_frozen(frozen, model, 2)
    other = load_reward_model(backbone, experiment)
    with torch.no_grad():
        other.get_input_embeddings().weight.add_(1)
    with pytest.raises(UserError, match="holds other weights"):
        check_frozen(frozen, other, 1)
    with pytest.raises(UserError, match="cannot be read"):
        check_frozen(tmp_path / "none", model, 1)
