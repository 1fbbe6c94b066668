"""Fine-tuning the generator: it learns both sides, and the cache reads what it became."""

import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from steps.backbone import load_generator, load_tokenizer
from steps.cache.build import build_cache
from steps.cache.compute import Models
from steps.cache.encode import encode_groups
from steps.cache.key import cache_key
from steps.cache.store import Cache
from steps.cache.verify import verify_cache
from steps.chat import ChatFormat
from steps.config.schema import FineTuning, Generator, Lora
from steps.errors import UserError
from steps.groups.schema import write_groups
from steps.objectives.batch import Batch, Side
from steps.objectives.likelihood import Likelihood
from steps.pairs.schema import write_pairs
from steps.provenance import RunCard
from steps.stop import STOPPED
from steps.train.adapters import add_lora, merge_lora
from steps.train.checkpoints import last_checkpoint
from steps.train.generator import choose_trained, train_generator, training_settings
from tests.stopping import after_a_request
from tests.training import make_pairs

TUNING = FineTuning(groups_per_step=3, learning_rate=1e-2, epochs=8, lora=Lora(r=4))


def tune(experiment, backbone, groups, folder: Path, tuning=TUNING) -> Path:
    """Fine-tune on ``groups``; return the folder with ``model`` and ``log.csv``."""
    write_groups(folder / "groups/train.parquet", groups)
    pairs = make_pairs(groups).assign(same_model=False)
    write_pairs(folder / "pairs/train.parquet", pairs)
    changed = experiment.model_copy(update={"generator": Generator(fine_tuning=tuning)})
    arguments = argparse.Namespace(
        experiment=Path("x.yaml"),
        model=backbone,
        groups=folder / "groups/train.parquet",
        pairs=folder / "pairs/train.parquet",
        work=None,
        output=folder / "model",
        training_log=folder / "log.csv",
        card=folder / "card.json",
    )
    train_generator(arguments, changed)
    return folder


@pytest.mark.parametrize(
    "change",
    [{}, {"lora": None}, {"lm_head": "copy", "lm_head_learning_rate": 1e-2}],
    ids=["lora", "full", "copy"],
)
def test_it_learns_both_sides_and_is_saved_as_it_was_trained(
    change, experiment, backbone, groups, tmp_path
) -> None:
    tuning = TUNING.model_copy(update=change)
    folder = tune(experiment, backbone, groups, tmp_path, tuning)
    log = pd.read_csv(folder / "log.csv")
    assert log["likelihood"].iloc[-1] < 0.8 * log["likelihood"].iloc[0]
    again = tune(experiment, folder / "model", groups, folder / "again")
    first = pd.read_csv(again / "log.csv")["likelihood"].iloc[0]
    assert first < log["likelihood"].iloc[-1] + 0.02
    tied = load_generator(folder / "model", experiment).config.tie_word_embeddings
    assert tied == ("lm_head" not in change)
    assert not (folder / "model.work").exists()


def test_the_cache_holds_the_tuned_probabilities(experiment, backbone, groups, tmp_path) -> None:
    folder = tune(experiment, backbone, groups, tmp_path)
    chat = ChatFormat(load_tokenizer(backbone, experiment))
    encoded = encode_groups(groups, chat)
    raw = Models(load_generator(backbone, experiment))
    tuned = Models(load_generator(folder / "model", experiment), raw.generator)
    keys = [
        cache_key(experiment, backbone, chat, 1),
        cache_key(experiment, backbone, chat, 1, folder / "model"),
    ]
    means = []
    for number, (models, key) in enumerate(zip((raw, tuned), keys, strict=True)):
        output = tmp_path / f"cache{number}"
        build_cache(models, encoded, key, 999, tmp_path / "work", output)
        assert max(verify_cache(Cache(output), models, encoded, key, 3).values()) <= 1e-5
        log_probs = torch.from_numpy(Cache(output).log_probs)
        means.append(log_probs[~log_probs.isnan()].mean())
    assert means[1] > means[0] + 0.1
    assert keys[0].digest() != keys[1].digest()


def test_the_loss_is_normalised_by_length_with_the_release_slip_as_an_option() -> None:
    def side(rows: list[list[float]]) -> Side:
        width = max(map(len, rows))
        mask = torch.tensor([[k < len(r) for k in range(width)] for r in rows])
        values = torch.tensor([r + [9.0] * (width - len(r)) for r in rows], dtype=torch.float64)
        return Side(values, mask, values, torch.arange(len(rows)), values)

    batch = Batch(side([[-1.0, -2.0], [-3.0]]), side([[-4.0], [-5.0, -6.0, -7.0]]))
    own = (1 + 2) / 2 + 3 / 1 + 4 / 1 + (5 + 6 + 7) / 3
    slip = (1 + 2) / 2 + 3 / 1 + 4 / 2 + (5 + 6 + 7) / 1
    assert Likelihood("own").total(batch).item() == pytest.approx(own)
    assert Likelihood("chosen").total(batch).item() == pytest.approx(slip)


def test_small_changes_survive_the_merge_into_half_precision(experiment, backbone) -> None:
    model = load_generator(backbone, experiment, torch.bfloat16)
    before = model.model.layers[0].mlp.up_proj.weight.detach().float().clone()
    adapted = add_lora(model, Lora(r=4), "CAUSAL_LM")
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(1e-5)
    change = merge_lora(adapted).model.layers[0].mlp.up_proj.weight - before
    assert 0 < change.abs().max() < 1e-3
    assert (change != 0).float().mean() > 0.99


def test_it_can_learn_from_a_part_of_the_groups(experiment, backbone, groups, tmp_path) -> None:
    """Groups 0 and 2 of the three."""
    tuning = TUNING.model_copy(update={"every": 2, "epochs": 1})
    log = pd.read_csv(tune(experiment, backbone, groups, tmp_path, tuning) / "log.csv")
    pairs = make_pairs(groups)
    assert log["pairs"].sum() == sum(pairs["group_id"].isin(["g0", "g2"])) < len(pairs)


def test_a_checkpoint_of_other_texts_is_refused(
    experiment, backbone, groups, tmp_path, monkeypatch
) -> None:
    """The pairs, which are numbers of responses, stay as they were."""

    def killed(*_) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("steps.train.generator._write", killed)
        tune(experiment, backbone, groups, tmp_path)
    first = groups[0]
    other = replace(first.responses[0], text="Another text.")
    changed = replace(first, responses=(other, *first.responses[1:]))
    with pytest.raises(UserError, match="holds checkpoints of a run with another groups"):
        tune(experiment, backbone, [changed, *groups[1:]], tmp_path)
    assert (tune(experiment, backbone, groups, tmp_path) / "model").is_dir()


def test_damaged_pairs_are_refused_before_the_training(
    experiment, backbone, groups, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs = tmp_path / "pairs/train.parquet"
    write_pairs(pairs, make_pairs(groups)[1:].assign(same_model=False))
    RunCard("pairs", {}, path=Path("results/x/cards/pairs.json")).write([pairs])
    with pytest.raises(UserError, match=r"pairs/train\.parquet is not what its step wrote"):
        tune(experiment, backbone, groups, tmp_path)
    assert not (tmp_path / "model.work").exists()


def test_a_head_whose_copy_is_trained_stays_as_it_is(experiment, backbone, tmp_path) -> None:
    """Else it would wait for a gradient that never comes, which data-parallel training refuses."""
    settings = training_settings(TUNING.model_copy(update={"lora": None, "lm_head": "copy"}))
    for tied in (False, True):
        model = LlamaForCausalLM(LlamaConfig.from_pretrained(backbone, tie_word_embeddings=tied))
        choose_trained(model, settings)
        assert model.lm_head.weight.requires_grad == tied  # where it is the embedding
        assert model.get_input_embeddings().weight.requires_grad


def test_a_set_without_pairs_is_named(experiment, backbone, groups, tmp_path) -> None:
    right = [replace(g, responses=tuple(r for r in g.responses if r.correct)) for g in groups]
    with pytest.raises(UserError, match=r"pairs/train\.parquet has no pair to fine-tune"):
        tune(experiment, backbone, right, tmp_path)


def test_an_experiment_without_fine_tuning_is_told(experiment, tmp_path) -> None:
    with pytest.raises(UserError, match=r"generator\.fine_tuning is not set"):
        train_generator(argparse.Namespace(experiment="x.yaml"), experiment)


def test_a_request_before_the_first_step_is_honoured_after_it(
    experiment, backbone, groups, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("steps.train.generator.load_tokenizer", after_a_request(load_tokenizer))
    with pytest.raises(SystemExit) as end:
        tune(experiment, backbone, groups, tmp_path)
    assert end.value.code == STOPPED
    assert last_checkpoint(tmp_path / "model.work").name == "checkpoint-1"
