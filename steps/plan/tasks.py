"""The jobs that compute with a model: what each needs, and whether the machine has it."""

import math
from dataclasses import dataclass, replace

from steps.config import Experiment
from steps.device import working_dtype
from steps.errors import UserError
from steps.plan.architecture import read_config, shape_of
from steps.plan.machine import Machine
from steps.plan.memory import Memory, cache_memory, pass_memory, training_memory
from steps.plan.parameters import model_parameters
from steps.plan.runs import Run
from steps.plan.tokens import SetTokens, largest_batch, largest_micro_batch
from steps.plan.units import show_bytes


@dataclass(frozen=True)
class Task:
    """Like jobs of one rule.

    Attributes:
        rule: of ``workflow/rules``.
        name: for people, such as ``train icrm``.
        count: how many of them there are.
        memory: at the peak of one.
        tokens: that pass the model in one job, repeated epochs included; None = not known.
        batch_knobs: settings, as far as they are not turned yet, that lower the need of a batch.
        model_knobs: those that lower the need of weights, gradients and optimiser.
        run: of a training, else None.
        steps: optimiser steps of one training job, None = not known.
    """

    rule: str
    name: str
    count: int
    memory: Memory
    tokens: int | None
    batch_knobs: tuple[str, ...]
    model_knobs: tuple[str, ...] = ()
    run: Run | None = None
    steps: int | None = None


def list_tasks(
    experiment: Experiment, runs: list[Run], sets: list[SetTokens], machine: Machine
) -> list[Task]:
    """Return the tasks of an experiment, in the order of the method.

    Args:
        sets: the training set first.
    """
    train, evaluation = sets[0], sets[1:]
    trainings = [_training_task(run, train, machine) for run in runs]
    return [
        *(task for task in trainings if task.rule == "train_generator"),
        _cache_task(experiment, "cache_train", train, machine),
        *(_cache_task(experiment, "cache", part, machine) for part in evaluation),
        *(task for task in trainings if task.rule == "train"),
        _score_task(experiment, evaluation, machine),
    ]


def benchmark_tasks(experiment: Experiment, machine: Machine) -> list[Task]:
    """Return those of the benchmarks, whose tokens nobody counts before they are cached."""
    if not experiment.benchmarks:
        return []
    sets = [SetTokens(name, None) for name in experiment.benchmarks]
    return [
        *(_cache_task(experiment, "cache_benchmark", part, machine) for part in sets),
        replace(_score_task(experiment, sets, machine), rule="score_benchmarks"),
    ]


def _training_task(run: Run, train: SetTokens, machine: Machine) -> Task:
    settings, padded = run.settings, run.settings.layout == "padded"
    batch = largest_micro_batch(train, settings.tokens_per_batch, settings.groups_per_step, padded)
    tokens, steps = train.row_tokens if padded else train.tokens, None
    if train.prompts is not None:
        steps = settings.epochs * math.ceil(train.prompts / run.every / settings.groups_per_step)
    return Task(
        rule=run.rule,
        name=run.name,
        count=run.count,
        memory=training_memory(
            shape_of(run.config), run.parameters, settings, batch, bool(run.lm_needs), machine
        ),
        tokens=None if tokens is None else settings.epochs * math.ceil(tokens / run.every),
        batch_knobs=_batch_knobs(run),
        model_knobs=_model_knobs(run, machine),
        run=run,
        steps=steps,
    )


def _batch_knobs(run: Run) -> tuple[str, ...]:
    knobs = [f"a smaller {run.section}.tokens_per_batch (now {run.settings.tokens_per_batch})"]
    if not run.settings.gradient_checkpointing:
        knobs.append(f"{run.section}.gradient_checkpointing: true")
    return tuple(knobs)


def _model_knobs(run: Run, machine: Machine) -> tuple[str, ...]:
    settings, section, knobs = run.settings, run.section, []
    if settings.mode == "full":
        generator = run.rule == "train_generator"
        knobs.append(f"{section}.lora: {{}}" if generator else f"{section}.mode: lora")
    if settings.mode == "upper_layers" and settings.trained_layers > 1:
        knobs.append(f"fewer {section}.trained_layers (now {settings.trained_layers})")
    if machine.gpu and settings.mode == "lora" and settings.precision == "fp32":
        knobs.append(f"{section}.precision: bf16")
    if machine.gpu and settings.mode != "upper_layers" and run.rule == "train":
        knobs.append("`fsdp: true` in slurm/cluster.yaml, without plan.json (docs/cluster.md)")
    return tuple(knobs)


def _cache_task(experiment: Experiment, rule: str, part: SetTokens, machine: Machine) -> Task:
    """The generator passes all tokens, and the backbone besides where its states are stored."""
    settings = experiment.cache
    config = read_config(experiment.generator_model)
    dtype = working_dtype(settings.precision)
    weights = model_parameters(config, dtype).weight_bytes
    if experiment.training.trained_layers is not None and not experiment.generator_is_backbone:
        backbone = read_config(experiment.backbone)
        weights += model_parameters(backbone, working_dtype("fp32")).weight_bytes
    batch = largest_batch([part], settings.tokens_per_batch)
    batch_knobs = (f"a smaller cache.tokens_per_batch (now {settings.tokens_per_batch})",)
    halve = machine.gpu and settings.precision == "fp32"
    model_knobs = ("cache.precision: bf16",) if halve else ()
    memory = cache_memory(shape_of(config), weights, batch, experiment.generator, machine)
    return Task(rule, f"cache {part.name}", 1, memory, part.tokens, batch_knobs, model_knobs)


def _score_task(experiment: Experiment, evaluation: list[SetTokens], machine: Machine) -> Task:
    """Groups are scored one by one, all sets of a model in one job, in float32 weights."""
    config, settings = read_config(experiment.backbone), experiment.training
    padded = settings.layout == "padded"
    sizes = [part.row_tokens if padded else part.tokens for part in evaluation]
    group = 0 if all(part.counted for part in evaluation) else settings.tokens_per_batch
    weights = model_parameters(config, working_dtype("fp32")).weight_bytes
    return Task(
        rule="score",
        name="score",
        count=len(experiment.trained_methods) * len(experiment.seeds),
        memory=pass_memory(
            shape_of(config), weights, largest_batch(evaluation, group, padded), machine
        ),
        tokens=None if None in sizes else sum(sizes),
        batch_knobs=("a smaller selection.max_tokens, or fewer responses a prompt",),
    )


def check_fits(tasks: list[Task], machine: Machine) -> None:
    """Check that every job finds the memory that it needs.

    Raises:
        UserError: naming the first that does not, and what to change.
    """
    for task in tasks:
        memory = task.memory
        if memory.total <= machine.memory:
            continue
        parts = {
            "weights": memory.weights,
            "gradients and AdamW": memory.gradients + memory.optimiser,
            "activations": memory.activations,
            "logits": memory.logits,
        }
        shown = ", ".join(f"{name} {show_bytes(size)}" for name, size in parts.items())
        # Where what lasts does not fit, no batch is small enough.
        knobs = [*task.model_knobs, "a smaller model", "a larger machine"]
        if memory.lasting <= machine.memory:
            knobs = [*task.batch_knobs, *knobs]
        raise UserError(
            f"a job '{task.name}' needs {show_bytes(memory.total)} of memory ({shown}), but "
            f"{machine.device} has {show_bytes(machine.memory)} of {machine.memory_name}; try "
            f"{' or '.join(knobs)}"
        )
