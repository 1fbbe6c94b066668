"""Training from the cache: it learns, repeats itself, and saves standard models."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
)

from steps.backbone import (
    frozen_layers,
    load_generator,
    load_lm_head,
    load_reward_model,
    load_tokenizer,
    upper_parameters,
)
from steps.cache.build import build_cache, encode_groups
from steps.cache.key import cache_key
from steps.cache.store import Cache
from steps.chat import ChatFormat
from steps.config.schema import Training
from steps.errors import UserError
from steps.objectives.declaration import load_method
from steps.objectives.objective import Objective
from steps.objectives.registry import method_names
from steps.score.cached import score_groups
from steps.train.batches import step_plan, training_groups
from steps.train.loop import Trainer
from steps.train.save import check_frozen, save_reward_model, write_frozen

SETTINGS = Training(
    trained_layers=2, epochs=40, groups_per_step=2, learning_rate=1e-2, lm_head="copy"
)


@pytest.fixture(scope="module")
def cache(backbone: Path, experiment, groups, tmp_path_factory) -> Cache:
    folder = tmp_path_factory.mktemp("cache")
    chat = ChatFormat(load_tokenizer(backbone, experiment))
    model = load_generator(backbone, experiment)
    key = cache_key(experiment, backbone, chat, layer=1)
    build_cache(model, encode_groups(groups, chat), key, 999, folder / "work", folder / "cache")
    return Cache(folder / "cache")


@pytest.fixture(scope="module")
def pairs(groups) -> pd.DataFrame:
    rows = [
        {"group_id": g.group_id, "chosen": c, "rejected": r}
        for g in groups
        for c in range(2)
        for r in range(2, len(g.responses))
    ]
    return pd.DataFrame(rows)


def make_trainer(method, backbone, experiment, cache, pairs, settings=SETTINGS) -> Trainer:
    torch.manual_seed(0)
    model = load_reward_model(backbone, experiment)
    return Trainer(
        model=model,
        lm_head_weight=load_lm_head(backbone, model),
        cache=cache,
        groups=training_groups(cache, pairs),
        objective=Objective(load_method(method).terms(experiment)),
        settings=settings,
        first_layer=frozen_layers(model, settings.trained_layers),
        seed=0,
        name=method,
    )


@pytest.mark.parametrize("method", method_names())
def test_every_method_overfits_a_few_pairs(method, backbone, experiment, cache, pairs) -> None:
    trainer = make_trainer(method, backbone, experiment, cache, pairs)
    before = {k: v.clone() for k, v in trainer.model.state_dict().items()}
    log = pd.DataFrame(trainer.train())
    assert log["pair_accuracy"].tail(4).mean() == 1.0
    assert log["bradley_terry"].iloc[-1] < 0.25 * log["bradley_terry"].iloc[0]
    for name, value in trainer.model.state_dict().items():
        frozen = "embed_tokens" in name or ".layers.0." in name
        assert torch.equal(value, before[name]) == frozen, name


def test_same_seed_same_weights(backbone, experiment, cache, pairs) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 2})
    runs = []
    for _ in range(2):
        trainer = make_trainer("icrm", backbone, experiment, cache, pairs, settings)
        log = trainer.train()
        runs.append((trainer.model.state_dict(), log))
    assert runs[0][1] == runs[1][1]
    assert all(torch.equal(runs[0][0][k], runs[1][0][k]) for k in runs[0][0])


def test_groups_per_step_equals_accumulation(backbone, experiment, cache, pairs) -> None:
    """A step of three groups has the gradient of the plain mean over all their pairs."""
    settings = SETTINGS.model_copy(update={"max_gradient_norm": 1e9})
    trainer = make_trainer("orm", backbone, experiment, cache, pairs, settings)
    model, trainer.lm_head = trainer.model, None
    parameters = upper_parameters(model, trainer.first_layer)
    row = trainer._step(trainer.groups, parameters)
    accumulated = [p.grad.clone() for p in parameters]
    model.zero_grad()
    margins = [
        batch.chosen.final_rewards - batch.rejected.final_rewards
        for batch in map(trainer._forward, trainer.groups)
    ]
    loss = torch.nn.functional.softplus(-torch.cat(margins)).mean()
    loss.backward()
    assert row["pairs"] == len(pairs)
    assert row["loss"] == pytest.approx(loss.item(), rel=1e-6)
    for one, other in zip(accumulated, parameters, strict=True):
        assert torch.allclose(one, other.grad, atol=1e-7)


def test_every_epoch_sees_every_group_once() -> None:
    steps = step_plan(groups=7, groups_per_step=3, epochs=2, seed=4)
    assert [len(s) for s in steps] == [3, 3, 1, 3, 3, 1]
    epochs = [[g for s in part for g in s] for part in (steps[:3], steps[3:])]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(7))
    assert epochs[0] != epochs[1]
    assert steps == step_plan(groups=7, groups_per_step=3, epochs=2, seed=4)


@pytest.fixture(scope="module")
def saved(backbone, experiment, cache, pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    settings = SETTINGS.model_copy(update={"epochs": 2})
    trainer = make_trainer("orm", backbone, experiment, cache, pairs, settings)
    trainer.train()
    write_frozen(trainer.model, 1, folder / "frozen.safetensors")
    tokenizer = load_tokenizer(backbone, experiment)
    frozen = folder / "frozen.safetensors"
    save_reward_model(trainer.model, tokenizer, 1, frozen, folder / "model", {"seed": 0})
    return trainer.model, folder / "model"


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


def test_a_diverged_loss_names_the_group(backbone, experiment, cache, pairs) -> None:
    trainer = make_trainer("orm", backbone, experiment, cache, pairs)
    with torch.no_grad():
        trainer.model.score.weight.fill_(float("nan"))
    with pytest.raises(UserError, match="on group 'g"):
        trainer.train()


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
