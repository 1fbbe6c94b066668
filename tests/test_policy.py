"""DPO: the first loss is log 2, a few pairs are learnt, and no interruption changes the result."""

import argparse
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, TrainerCallback

from steps.backbone import load_policy, load_tokenizer
from steps.chat import ChatFormat
from steps.config import Experiment
from steps.config.dpo import Dpo
from steps.config.lora import Lora
from steps.config.policy import Policy
from steps.config.sampling import Sampling
from steps.errors import UserError
from steps.files import sha256
from steps.policy.log_probabilities import log_probabilities
from steps.policy.reference import read_reference, write_reference
from steps.policy.schema import read_policy_pairs, write_policy_pairs
from steps.policy.tokens import encode, encode_pairs
from steps.policy.train import train_policy
from steps.policy.trainer import PolicyTrainer, dpo_arguments
from steps.provenance import RunCard
from steps.stop import STOPPED
from steps.train.checkpoints import last_checkpoint
from tests.stopping import after_a_request

SETTINGS = Dpo(
    lora=Lora(r=4, alpha=8),
    epochs=30,
    pairs_per_step=3,
    pairs_per_batch=3,
    learning_rate=1e-2,
    max_tokens=200,
    checkpoint_steps=4,
)


def with_dpo(experiment: Experiment, settings: Dpo) -> Experiment:
    sampling = {"pairs": Sampling(samples=4, max_new_tokens=16)}
    policy = Policy(held_out="in_distribution", sampling=sampling, dpo=settings)
    return experiment.model_copy(update={"policy": policy})


@pytest.fixture(scope="module")
def pairs_file(tmp_path_factory) -> Path:
    """Five pairs; the last two have their responses in common."""
    rows = [
        (f"p{k}", f"What is {k} + 1?", f"It is {k + 1}.", "No idea" + "!" * k, 1.0, 0.0)
        for k in range(4)
    ]
    rows.append(("p4", "What is 3 + 1?", "It is 4.", "I cannot tell.", 1.0, 0.5))
    columns = ["prompt_id", "prompt", "chosen", "rejected", "chosen_reward", "rejected_reward"]
    path = tmp_path_factory.mktemp("pairs") / "pairs.parquet"
    write_policy_pairs(path, pd.DataFrame(rows, columns=columns))
    return path


@dataclass
class Runs:
    """Runs the two actions in a folder."""

    experiment: Experiment
    model: Path
    pairs: Path
    folder: Path
    reference: Path = field(init=False)

    def __post_init__(self) -> None:
        self.reference = self.folder / "reference.parquet"

    def write_reference(self, settings: Dpo = SETTINGS) -> Path:
        arguments = argparse.Namespace(
            model=self.model, pairs=[self.pairs, self.pairs], output=self.reference, card=None
        )
        write_reference(arguments, with_dpo(self.experiment, settings))
        return self.reference

    def train(self, name: str, settings: Dpo = SETTINGS, seed: int = 5) -> Path:
        """Train, with what is left in the folder of checkpoints; return the folder written."""
        folder = self.folder / name
        arguments = argparse.Namespace(
            model=self.model,
            pairs=self.pairs,
            reference=self.reference,
            seed=seed,
            work=None,
            output=folder / "model",
            training_log=folder / "log.csv",
            card=folder / "card.json",
        )
        train_policy(arguments, with_dpo(self.experiment, settings))
        return folder


@pytest.fixture
def runs(experiment, backbone, pairs_file, tmp_path) -> Runs:
    made = Runs(experiment, backbone, pairs_file, tmp_path)
    made.write_reference()
    return made


def log_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "log.csv")


def log_ratios(folder: Path, runs: Runs) -> np.ndarray:
    """Log policy - log reference of the pairs, [n, 2], from the model as it was saved."""
    chat = ChatFormat(load_tokenizer(folder, runs.experiment))
    pairs, _ = encode_pairs(runs.pairs, read_policy_pairs(runs.pairs), chat, 200)
    sequences = [sequence for pair in pairs for sequence in pair]
    model = load_policy(folder, runs.experiment)
    after = log_probabilities(model, sequences, 999, "fp32")
    ratios = np.array(after) - read_reference(runs.reference, runs.model, sequences, SETTINGS)
    return ratios.reshape(-1, 2)


@pytest.mark.parametrize("lora", [SETTINGS.lora, None], ids=["lora", "full"])
def test_it_starts_at_log_2_and_overfits_a_handful_of_pairs(lora, runs) -> None:
    rate = 1e-2 if lora else 3e-3
    folder = runs.train("one", SETTINGS.model_copy(update={"lora": lora, "learning_rate": rate}))
    log = log_of(folder)
    assert log["loss"].iloc[0] == pytest.approx(math.log(2), abs=1e-5)
    assert log["margin"].iloc[0] == pytest.approx(0, abs=1e-5)
    assert log["loss"].iloc[-2:].mean() < 0.2
    assert log["pair_accuracy"].iloc[-2:].mean() == 1
    assert list(log["pairs"][:4]) == [3, 2, 3, 2]
    assert log["epoch"].iloc[-1] == SETTINGS.epochs
    chosen, rejected = log_ratios(folder / "model", runs).T
    assert (chosen > rejected).all()


def test_the_log_tells_where_the_policy_is_before_a_step(runs) -> None:
    """All pairs are one step's, so the second row is of the policy that the first step made."""
    settings = SETTINGS.model_copy(
        update={"beta": 0.3, "pairs_per_step": 5, "pairs_per_batch": 5, "warmup_share": 0.0}
    )
    once = runs.train("once", settings.model_copy(update={"epochs": 1}))
    row = log_of(runs.train("twice", settings.model_copy(update={"epochs": 2}))).iloc[1]
    ratios = log_ratios(once / "model", runs)
    margins = settings.beta * (ratios[:, 0] - ratios[:, 1])
    assert abs(ratios.mean()) > 0.1 and abs(margins.mean()) > 0.1
    assert row["kl"] == pytest.approx(-ratios.mean(), abs=1e-4)
    assert row["margin"] == pytest.approx(margins.mean(), abs=1e-4)
    assert row["pair_accuracy"] == pytest.approx((margins > 0).mean())
    assert row["loss"] == pytest.approx(np.log1p(np.exp(-margins)).mean(), abs=1e-4)


def test_the_trainer_is_told_the_settings(tmp_path) -> None:
    settings = Dpo(
        beta=0.3,
        epochs=3,
        pairs_per_step=6,
        pairs_per_batch=2,
        learning_rate=2e-4,
        weight_decay=0.02,
        max_gradient_norm=0.7,
        checkpoint_steps=9,
    )
    told = dpo_arguments(settings, tmp_path, 11)
    assert (told.beta, told.seed, told.num_train_epochs) == (0.3, 11, 3)
    assert (told.per_device_train_batch_size, told.gradient_accumulation_steps) == (2, 3)
    assert (told.learning_rate, told.weight_decay, told.max_grad_norm) == (2e-4, 0.02, 0.7)
    assert told.save_steps == 9


def test_the_learning_rate_rises_then_falls_and_the_seed_decides_the_rest(runs) -> None:
    """A quarter of eight steps warms up; seeds differ in the adapters and in the order of pairs."""
    settings = SETTINGS.model_copy(update={"epochs": 4, "warmup_share": 0.25})
    one, other = (runs.train(f"seed{seed}", settings, seed) for seed in (5, 6))
    shares = [0, 1 / 2] + [(1 + math.cos(math.pi * k / 6)) / 2 for k in range(6)]
    expected = settings.learning_rate * np.array(shares)
    for folder in (one, other):
        np.testing.assert_allclose(log_of(folder)["learning_rate"], expected, rtol=1e-5)
    assert sha256(one / "model") != sha256(other / "model")


def test_the_saved_policy_needs_no_adapter(runs) -> None:
    folder = runs.train("one", SETTINGS.model_copy(update={"epochs": 1})) / "model"
    _, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    names = {p.name for p in folder.iterdir()}
    assert {"model.safetensors", "tokenizer.json", "config.json"} <= names
    assert not any("adapter" in name for name in names)


def test_cached_and_live_reference_agree(runs) -> None:
    """What trl computes with the adapters switched off, batch by batch, is what was cached.

    At most five float32 roundings of sums near -60: no token of 8 or more is off by 1e-5.
    """
    experiment = runs.experiment
    tokenizer = load_tokenizer(runs.model, experiment)
    pairs, _ = encode_pairs(runs.pairs, read_policy_pairs(runs.pairs), ChatFormat(tokenizer), 200)
    flat = [sequence for pair in pairs for sequence in pair]
    cached = read_reference(runs.reference, runs.model, flat, SETTINGS)
    known = list(zip(cached[::2], cached[1::2], strict=True))
    model = load_policy(runs.model, experiment)
    trainer = PolicyTrainer(
        model, tokenizer, pairs, known, SETTINGS, runs.folder / "live", 0, "live"
    )
    trainer.model.eval()
    for batch in trainer.get_train_dataloader():
        live = trainer.compute_ref_log_probs(trainer.model, batch)
        for side, values in zip(("chosen", "rejected"), live, strict=True):
            torch.testing.assert_close(values, batch[f"ref_{side}_logps"], rtol=0, atol=2e-5)


def test_log_probabilities_are_those_of_the_next_token(backbone, experiment, groups) -> None:
    """Against a plain softmax over the logits, whatever the batches."""
    chat = ChatFormat(load_tokenizer(backbone, experiment))
    sequences = [encode(chat, g.prompt, r.text) for g in groups for r in g.responses]
    model = load_policy(backbone, experiment).eval()
    expected = []
    for sequence in sequences:
        ids = torch.tensor([sequence.prompt + sequence.response])
        with torch.no_grad():
            logp = torch.log_softmax(model(ids).logits[0, :-1].double(), -1)
        taken = logp.gather(1, ids[0, 1:, None])[len(sequence.prompt) - 1 :]
        expected.append(taken.sum().item())
    for tokens in (1, 500):
        found = log_probabilities(model, sequences, tokens, "fp32")
        np.testing.assert_allclose(found, expected, rtol=1e-5)


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("killed_at", [2, 7], ids=["before", "after"])
def test_killed_and_resumed_equals_undisturbed(killed_at, runs, monkeypatch) -> None:
    """Killed before or after the first checkpoint, at step 5 in the middle of an epoch."""
    settings = SETTINGS.model_copy(
        update={"epochs": 4, "pairs_per_batch": 1, "checkpoint_steps": 5}
    )
    whole = runs.train("whole", settings)

    class Kill(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == killed_at:
                raise KilledError

    start = PolicyTrainer.__init__
    with monkeypatch.context() as patch:
        patch.setattr(
            PolicyTrainer, "__init__", lambda *a, **named: start(*a, callbacks=[Kill()], **named)
        )
        with pytest.raises(KilledError):
            runs.train("resumed", settings)
    assert (last_checkpoint(runs.folder / "resumed/model.work") is None) == (killed_at == 2)
    suffixes = {path.suffix for path in (runs.folder / "resumed/model.work").rglob("*.*")}
    assert not suffixes & {".bin", ".pt", ".pth"}  # pickles
    monkeypatch.setattr(torch, "load", None)  # which reads them
    resumed = runs.train("resumed", settings)
    assert sha256(resumed / "model") == sha256(whole / "model")
    assert (resumed / "log.csv").read_bytes() == (whole / "log.csv").read_bytes()
    assert not (resumed / "model.work").exists()


def test_a_damaged_input_is_refused_before_the_training(runs, monkeypatch) -> None:
    """It still parses. No checkpoint depends on it, so it trains once the file is restored."""
    monkeypatch.chdir(runs.folder)
    RunCard("reference", {}, path=Path("results/x/cards/reference.json")).write([runs.reference])
    right = runs.reference.read_bytes()
    table = pq.read_table(runs.reference)
    values = pc.add(table["log_probability"], 1.0)
    pq.write_table(table.set_column(1, "log_probability", values), runs.reference)
    settings = SETTINGS.model_copy(update={"epochs": 1})
    with pytest.raises(UserError, match=r"reference\.parquet is not what its step wrote"):
        runs.train("one", settings)
    assert not (runs.folder / "one").exists()
    runs.reference.write_bytes(right)
    assert (runs.train("one", settings) / "model").is_dir()


def test_long_pairs_are_dropped_and_counted(runs, pairs_file) -> None:
    chat = ChatFormat(load_tokenizer(runs.model, runs.experiment))
    pairs = read_policy_pairs(pairs_file)
    lengths = [max(map(len, pair)) for pair in encode_pairs(pairs_file, pairs, chat, 999)[0]]
    kept, left_out = encode_pairs(pairs_file, pairs, chat, min(lengths))
    assert len(kept) == lengths.count(min(lengths))
    assert left_out == {f"pairs over {min(lengths)} tokens": len(pairs) - len(kept)}
    forged = pairs.assign(chosen=chat.tokenizer.eos_token)
    with pytest.raises(UserError, match=r"no pair is left .*5 pairs that spell a control token"):
        encode_pairs(pairs_file, forged, chat, 999)


def test_a_reference_of_another_model_or_other_pairs_is_refused(runs, tmp_path) -> None:
    chat = ChatFormat(load_tokenizer(runs.model, runs.experiment))
    other = encode(chat, "What is 1 + 1?", "Eleven.")
    with pytest.raises(UserError, match="lacks 1 responses of the pairs; run"):
        read_reference(runs.reference, runs.model, [other], SETTINGS)
    trained = runs.train("one", SETTINGS.model_copy(update={"epochs": 1})) / "model"
    with pytest.raises(UserError, match="computed with other weights than those of"):
        read_reference(runs.reference, trained, [], SETTINGS)


def test_a_reference_in_another_precision_is_refused(runs, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # a CPU computes in fp32 always
    read_reference(runs.reference, runs.model, [], SETTINGS)
    for settings in (Dpo(precision="bf16", lora=SETTINGS.lora), Dpo(precision="bf16", lora=None)):
        with pytest.raises(UserError, match=r"not computed with .* torch\.bfloat16 products"):
            read_reference(runs.reference, runs.model, [], settings)


def test_a_gradient_that_is_no_number_names_the_remedy(runs) -> None:
    changes = {"learning_rate": 1e30, "max_gradient_norm": 1e30, "checkpoint_steps": 1}
    words = r"gradient of step (\d+) is not finite.*delete that"
    with pytest.raises(UserError, match=words) as stop:
        runs.train("diverged", SETTINGS.model_copy(update=changes))
    assert not (runs.folder / "diverged/model").exists()
    step = int(re.search(words, str(stop.value))[1])
    # The last checkpoint is of the step before, and the broken one has left none.
    checkpoints = [path.name for path in (runs.folder / "diverged").rglob("checkpoint-*")]
    assert checkpoints == [f"checkpoint-{step - 1}"]


def test_a_request_before_the_first_step_is_honoured_after_it(runs, monkeypatch) -> None:
    monkeypatch.setattr("steps.policy.train.load_tokenizer", after_a_request(load_tokenizer))
    with pytest.raises(SystemExit) as end:
        runs.train("stopped")
    assert end.value.code == STOPPED
    assert last_checkpoint(runs.folder / "stopped/model.work").name == "checkpoint-1"
