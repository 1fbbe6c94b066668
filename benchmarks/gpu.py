"""Training and scoring on a GPU in bfloat16, of SmolLM2-135M and of a random Llama of 1.2 billion
weights: throughput, peak memory and the largest batch, ours and trl's in the same run.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.growth_in_length import random_groups
from benchmarks.ours import make_trainer
from benchmarks.rows import Row
from benchmarks.scoring_padded import against_padded_scoring
from benchmarks.setting import Setting, Size, measure_machine, real_setting
from benchmarks.timing import training_run
from benchmarks.training_against_trl import against_trl, pair_rows, trl_trainer
from steps.cache.tokens import MemoryStore
from steps.device import best_device
from steps.errors import UserError
from steps.train.trainer import RewardTrainer

SIZE = Size(steps=2, pairs=32, batch_sizes=(4, 8, 16, 32), scored_pairs=96, longest=512)
TOKENS = 65_536  # of a micro-batch
LLAMA = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": True,
}


@contextmanager
def gpu_setting(output: Path) -> Iterator[Setting]:
    """Yield the setting of the CPU's comparisons in bfloat16, with larger batches.

    Raises:
        UserError: there is no GPU.
    """
    if best_device().type != "cuda":
        raise UserError(
            "torch finds no GPU here; run `make bench-gpu` on a machine with one and a CUDA build"
        )
    with real_setting(output) as setting:
        setting = setting.with_training(precision="bf16", tokens_per_batch=TOKENS)
        yield replace(setting, size=SIZE)


def training_on_gpu(setting: Setting) -> list[Row]:
    """Every weight, one pair per prompt."""
    return [_named(against_trl(own), name) for name, own in _models(setting)]


def scoring_on_gpu(setting: Setting) -> list[Row]:
    """Rewards of pairs against padded batches of transformers' own class."""
    return [_named(against_padded_scoring(own, TOKENS), name) for name, own in _models(setting)]


def memory_on_gpu(setting: Setting) -> list[Row]:
    """Peak memory of a training step, and the most pairs that fit one micro-batch."""
    return [row for name, own in _models(setting) for row in _memory_rows(own, name)]


GPU = [training_on_gpu, scoring_on_gpu, memory_on_gpu]


def _named(row: Row, model: str) -> Row:
    return replace(row, name=f"{row.name}; {model}, GPU")


def _models(setting: Setting) -> Iterator[tuple[str, Setting]]:
    """Yield the settings of both models, each with the peak of its own products."""
    yield "SmolLM2-135M", _with_peak(setting)
    yield "random Llama 1.2B", _with_peak(replace(setting, backbone=random_llama(setting)))


def _with_peak(setting: Setting) -> Setting:
    seconds = setting.size.peak_seconds
    return replace(setting, machine=measure_machine(setting.backbone, setting.dtype, seconds))


def random_llama(setting: Setting) -> Path:
    """Write a model of `LLAMA` with the backbone's tokenizer, once."""
    folder = setting.work / "llama"
    if not folder.is_dir():
        config = LlamaConfig(**LLAMA, vocab_size=setting.config.vocab_size)
        torch.manual_seed(0)
        LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
        setting.chat.tokenizer.save_pretrained(folder)
    return folder


def _memory_rows(setting: Setting, model: str) -> list[Row]:
    sides = {"ours": _our_step, "peer": _their_step}
    least = setting.size.pairs
    gigabytes = {side: memory_of(make(setting, least)) / 1e9 for side, make in sides.items()}
    most = {side: _most_pairs(partial(make, setting), least) for side, make in sides.items()}
    facts = {
        "peer_name": "trl.RewardTrainer, without activation checkpointing",
        "ratio_range": None,
        "n": 1,
        "target": None,
        "machine": setting.machine.name,
    }
    tokens = f"texts of {setting.size.longest} tokens, two to a prompt"
    return [
        Row(
            name=f"{name}; {model}, GPU",
            work=work,
            unit=unit,
            **found,
            ratio=found["ours"] / found["peer"],
            **facts,
        )
        for name, work, unit, found in (
            ("peak memory of a step", f"{least} pairs, {tokens}", "GB", gigabytes),
            ("largest micro-batch", tokens, "pairs", most),
        )
    ]


def memory_of(run: Callable[[], object]) -> int:
    """Return the most bytes of the GPU that tensors took during a run."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    run()
    return torch.cuda.max_memory_allocated()


def _most_pairs(make: Callable[[int], Callable[[], object]], pairs: int) -> int:
    """Return the most pairs, doubled from ``pairs`` on, with which a step does not run out.

    Raises:
        UserError: not even the first number fits.
    """
    fits = 0
    while True:
        try:
            make(max(2 * fits, pairs))()
        except torch.OutOfMemoryError:
            if fits == 0:
                raise UserError(
                    f"a step of {pairs} pairs does not fit into this GPU's memory; use another"
                ) from None
            return fits
        fits = max(2 * fits, pairs)


def _our_step(setting: Setting, pairs: int) -> Callable[[], object]:
    return training_run(_our_trainer(setting, pairs))


def _their_step(setting: Setting, pairs: int) -> Callable[[], object]:
    ours = _our_trainer(setting, pairs)
    own = replace(setting, size=replace(setting.size, pairs=pairs))
    theirs = trl_trainer(own, ours, pair_rows(ours), pairs)
    ours.model.to("cpu")
    return training_run(theirs)


def _our_trainer(setting: Setting, pairs: int) -> RewardTrainer:
    """Return the trainer of one step, which is one micro-batch."""
    length = setting.size.longest
    encoded = random_groups(pairs, length, 2, setting.config.vocab_size)
    whole = setting.with_training(groups_per_step=pairs, tokens_per_batch=len(encoded.ids))
    return make_trainer(whole, "orm", MemoryStore(encoded), encoded.groups)
