"""What all comparisons share: the model, the texts, how many rounds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.peak import matrix_peak
from benchmarks.rows import Machine
from steps.backbone import load_config, load_tokenizer
from steps.chat import ChatFormat
from steps.config import Experiment, load_experiment
from steps.device import best_device, use_threads, working_dtype
from steps.download.tiny import make_tiny
from steps.errors import UserError
from steps.groups.schema import PromptGroup, read_groups
from steps.groups.toy import toy_groups
from steps.provenance import processor

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENT, TINY = ROOT / "config/speed.yaml", ROOT / "config/tiny.yaml"


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        rounds: that count, after one that does not.
        steps, pairs: optimiser steps of a training run, and pairs of a step.
        batch_sizes: that the peers may choose from.
        groups: prompts of the caching and scoring runs.
        scored_pairs: of the scoring of pairs.
        candidates: responses of best-of-N.
        long_prompt: tokens of a long prompt.
        peak_seconds: for which each product is measured.
        tokens: of a run of growth in length.
        lengths, responses: tokens of a text, and responses of a prompt, of those runs.
        rows: of the files of growth in rows.
        longest: tokens of the texts of the largest batch.
    """

    rounds: int = 3
    steps: int = 1
    pairs: int = 8
    batch_sizes: tuple[int, ...] = (1, 2, 4, 8)
    groups: int = 1
    scored_pairs: int = 16
    candidates: int = 16
    long_prompt: int = 800
    peak_seconds: float = 0.5
    tokens: int = 4096
    lengths: tuple[int, ...] = (128, 256, 512, 1024, 2048)
    responses: tuple[int, ...] = (2, 4, 8, 16)
    rows: tuple[int, ...] = (1_000, 10_000, 100_000, 400_000)
    longest: int = 512


SMALL = Size(
    rounds=1,
    steps=2,
    pairs=4,
    batch_sizes=(1, 2),
    groups=2,
    scored_pairs=2,
    candidates=4,
    long_prompt=150,
    peak_seconds=0.01,
    tokens=256,
    lengths=(32, 64),
    responses=(2, 4),
    rows=(20, 40),
    longest=32,
)


@dataclass(frozen=True)
class Setting:
    """Where the comparisons find everything.

    Attributes:
        backbone: folder of the language model.
        groups: prompts with their responses.
        work: folder that is deleted in the end.
        output: folder of rows and figures.
        machine: where they run.
        publisher: Python of the environment with the package `rewardbench`.
    """

    experiment: Experiment
    backbone: Path
    groups: list[PromptGroup]
    size: Size
    work: Path
    output: Path
    machine: Machine
    publisher: Path = ROOT / ".venv-rewardbench/bin/python"

    @cached_property
    def chat(self) -> ChatFormat:
        return ChatFormat(load_tokenizer(self.backbone, self.experiment))

    @cached_property
    def config(self):
        """The model's architecture."""
        return load_config(self.backbone, trust=False)

    @cached_property
    def dtype(self) -> torch.dtype:
        """The dtype of products: that of the experiment's training."""
        return working_dtype(self.experiment.training.precision)

    def with_training(self, **settings) -> "Setting":
        """Return the setting with other values in the section ``training``."""
        training = self.experiment.training.model_copy(update=settings)
        experiment = self.experiment.model_copy(update={"training": training})
        return replace(self, experiment=experiment)


def measure_machine(backbone: Path, dtype: torch.dtype, seconds: float) -> Machine:
    """Return this machine with the peak of the products of a model."""
    peak = matrix_peak(load_config(backbone, trust=False), dtype, seconds)
    device = best_device()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{processor()}, {torch.get_num_threads()} threads"
    kind = str(dtype).removeprefix("torch.")
    name += f", torch {torch.__version__}, {kind} products at {peak / 1e9:,.0f} GFLOP/s"
    return Machine(name, peak)


@contextmanager
def real_setting(output: Path) -> Iterator[Setting]:
    """Yield the setting of ``config/speed.yaml``, whose groups the workflow has made."""
    experiment = load_experiment(EXPERIMENT)
    use_threads(experiment.threads)
    groups = ROOT / "results/speed/groups/train.parquet"
    if not groups.is_file():
        raise UserError(f"{groups.relative_to(ROOT)} is not there; run `make bench-data`")
    backbone, size = ROOT / experiment.backbone_folder(), Size()
    machine = measure_machine(backbone, torch.float32, size.peak_seconds)
    with TemporaryDirectory() as work:
        yield Setting(experiment, backbone, read_groups(groups), size, Path(work), output, machine)


@contextmanager
def small_setting(output: Path) -> Iterator[Setting]:
    """Yield generated sums and a tiny model: it takes seconds, and its times mean nothing."""
    experiment = load_experiment(EXPERIMENT)
    groups = toy_groups(load_experiment(TINY).data)[0]
    with TemporaryDirectory() as work:
        backbone = tiny_backbone(Path(work))
        machine = measure_machine(backbone, torch.float32, SMALL.peak_seconds)
        yield Setting(experiment, backbone, groups, SMALL, Path(work), output, machine)


def tiny_backbone(folder: Path) -> Path:
    """Write a random model of a few thousand parameters below ``folder``."""
    make_tiny(load_experiment(TINY).backbone, folder / "tiny")
    return folder / "tiny"
