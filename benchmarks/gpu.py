"""Training and scoring on a GPU in bfloat16, of SmolLM2-135M and of a random Llama of 1.07 billion
weights: throughput, peak memory and the largest batch, ours and trl's in the same run.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.growth_in_length import random_groups
from benchmarks.ours import make_trainer
from benchmarks.rows import LeftOut, Row
from benchmarks.scoring_padded import NAME as PADDED
from benchmarks.scoring_padded import against_padded_scoring
from benchmarks.setting import Setting, Size, measure_machine, real_setting
from benchmarks.timing import Run, training_run
from benchmarks.training_against_trl import PAIRS, against_trl, pair_rows, trl_trainer
from steps.cache.tokens import MemoryStore
from steps.device import best_device
from steps.errors import UserError
from steps.train.trainer import RewardTrainer

SIZE = Size(
    rounds=7, steps=2, pairs=32, batch_sizes=(4, 8, 16, 32, 64), scored_pairs=64, longest=512
)
TOKENS = 65_536  # of a micro-batch
PEAK, LARGEST = "peak memory of a step", "largest micro-batch"
LLAMA_NAME = "random Llama 1.07B"  # with the vocabulary of SmolLM2
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


def training_on_gpu(setting: Setting) -> list[Row | LeftOut]:
    """Every weight, one pair per prompt."""
    return _of_each_model(setting, lambda own: [against_trl(own)], PAIRS)


def scoring_on_gpu(setting: Setting) -> list[Row | LeftOut]:
    """Rewards of pairs against padded batches of transformers' own class."""
    return _of_each_model(setting, lambda own: [against_padded_scoring(own, TOKENS)], PADDED)


def memory_on_gpu(setting: Setting) -> list[Row | LeftOut]:
    """Peak memory of a training step, and the most pairs that fit one micro-batch."""
    return _of_each_model(setting, _memory_rows, PEAK, LARGEST)


GPU = [training_on_gpu, scoring_on_gpu, memory_on_gpu]


def _of_each_model(
    setting: Setting, measure: Callable[[Setting], list[Row]], *names: str
) -> list[Row | LeftOut]:
    """Measure both models; one that does not fit does not take the other's rows along.

    Args:
        names: of the rows.
    """
    folders = {"SmolLM2-135M": lambda: setting.backbone, LLAMA_NAME: lambda: random_llama(setting)}
    made: list[Row | LeftOut] = []
    for model, folder in folders.items():
        gc.collect()
        try:
            rows = measure(_with_peak(replace(setting, backbone=folder())))
        except torch.OutOfMemoryError as error:
            made += [LeftOut(_on_gpu(name, model), str(error)) for name in names]
        else:
            made += [replace(row, name=_on_gpu(row.name, model)) for row in rows]
    return made


def _on_gpu(name: str, model: str) -> str:
    return f"{name}; {model}, GPU"


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


def _memory_rows(setting: Setting) -> list[Row]:
    sides = {"ours": _our_step, "peer": _their_step}
    least = setting.size.pairs
    gigabytes = {side: memory_of(partial(make, setting, least)) for side, make in sides.items()}
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
        Row(name=name, work=work, unit=unit, **found, ratio=found["ours"] / found["peer"], **facts)
        for name, work, unit, found in (
            (PEAK, f"{least} pairs, {tokens}", "GB", gigabytes),
            (LARGEST, f"{tokens}; in multiples of {least} pairs", "pairs", most),
        )
    ]


def memory_of(make: Callable[[], Run]) -> float:
    """Return the most gigabytes of the GPU that the tensors of a training's later step take."""
    before = _free()
    run = make()
    run()  # the optimiser's states come after the first step's peak
    torch.cuda.reset_peak_memory_stats()
    run()
    return (torch.cuda.max_memory_allocated() - before) / 1e9


def _free() -> int:
    """Let go what earlier trainers hold in circles; return the bytes that tensors still take."""
    gc.collect()
    torch.cuda.empty_cache()
    return torch.cuda.memory_allocated()


def _most_pairs(make: Callable[[int], Run], pairs: int) -> int:
    """Return the most pairs with which two steps do not run out of memory, to a multiple of some.

    Args:
        pairs: that the number is a multiple of.
    Raises:
        torch.OutOfMemoryError: not even the first number fits.
    """
    fits, too_many = 0, None
    while too_many is None or too_many - fits > pairs:
        tried = max(2 * fits, pairs)
        if too_many is not None:
            tried = (fits + too_many) // (2 * pairs) * pairs
        if _does_fit(partial(make, tried)):
            fits = tried
        else:
            too_many = tried
    if not fits:
        raise torch.OutOfMemoryError(f"a step of {pairs} pairs does not fit into this GPU's memory")
    return fits


def _does_fit(make: Callable[[], Run]) -> bool:
    try:
        memory_of(make)
    except torch.OutOfMemoryError:
        return False
    return True


def _our_step(setting: Setting, pairs: int) -> Run:
    return training_run(_our_trainer(setting, pairs))


def _their_step(setting: Setting, pairs: int) -> Run:
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
