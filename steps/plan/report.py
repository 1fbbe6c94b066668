"""The plan as text. Every part says whether its numbers are counted, computed or measured."""

import os
import shutil
from collections.abc import Iterable

from tabulate import tabulate

from steps.config import Experiment
from steps.config.sampling import Sampling
from steps.plan.hours import job_seconds, seconds_per_token, total_seconds
from steps.plan.make import Plan
from steps.plan.tokens import SetTokens
from steps.plan.units import show_bytes, show_hours


def report(plan: Plan) -> str:
    """Return the whole text."""
    parts = [_jobs, _tokens, _parameters, _memory, _disk, _time]
    parts += [_sampling] if _sampled(plan.experiment) else []
    head = f"Plan of {plan.name}: {plan.experiment.title}\nOn {plan.machine.device}"
    head += f", {plan.machine.cores} cores, {show_bytes(plan.machine.memory)} of "
    return "\n\n".join([head + plan.machine.memory_name, *(part(plan) for part in parts)])


def _jobs(plan: Plan) -> str:
    rows = [(jobs.rule, jobs.count, jobs.waits_for) for jobs in plan.jobs]
    return _table(
        "JOBS (counted, as if nothing had been computed yet)", ["rule", "jobs", "wait for"], rows
    )


def _tokens(plan: Plan) -> str:
    table = _table("TOKENS", ["set", "tokens", ""], [_token_row(part) for part in plan.sets])
    if all(part.counted for part in plan.sets):
        return table
    target = plan.results / "groups" / "selection.json"
    return (
        f"{table}\nTo have them counted: snakemake {target} --config experiment={plan.name}\n"
        "Until then batches are taken to keep within tokens_per_batch; a larger group needs more."
    )


def _token_row(part: SetTokens) -> tuple[str, str, str]:
    if part.counted:
        return part.name, f"{part.tokens:,}", f"counted, {part.prompts:,} prompts"
    if part.tokens is not None:
        rows = part.tokens == part.row_tokens
        why = "known responses x selection.max_tokens" if rows else "selection.token_budget"
        return part.name, f"{part.tokens:,}", f"at most: {why}"
    return part.name, "", "not known before the data is selected"


def _parameters(plan: Plan) -> str:
    rows = []
    for run in plan.runs:
        counted = run.parameters
        share = counted.trained / counted.total
        row = run.name, run.settings.mode, f"{counted.trained:,}", f"{share:.1%}", run.count
        rows.append((*row, f"{run.count * counted.trained:,}"))
    trained = sum(run.count * run.parameters.trained for run in plan.runs)
    title = "PARAMETERS TRAINED (counted from the model's configuration, copies of the LM head in)"
    columns = ["run", "mode", "per model", "share", "models", "of all models"]
    return f"{_table(title, columns, rows)}\nIn total: {trained:,}"


def _memory(plan: Plan) -> str:
    rows = []
    for task in plan.tasks:
        memory = task.memory
        parts = (memory.total, memory.process, memory.weights)
        parts += (memory.gradients + memory.optimiser, memory.activations, memory.logits)
        rows.append((task.name, *map(show_bytes, parts)))
    title = (
        "PEAK MEMORY OF A JOB (computed; steps/plan/memory.py says what is counted; without\n"
        "sampling, policies, benchmarks and reference models)"
    )
    columns = ["job", "peak", "process", "weights", "gradients+AdamW", "activations", "logits"]
    table = _table(title, columns, rows)
    machine = plan.machine
    at_once = max(machine.cores // plan.experiment.threads, 1)
    largest = max(task.memory.total for task in plan.tasks)
    if machine.gpu or at_once * largest <= machine.memory:
        return table
    cores = max(machine.memory // largest, 1) * plan.experiment.threads
    return (
        f"{table}\nThe {at_once} jobs that the cores allow at once may need "
        f"{show_bytes(at_once * largest)}; give snakemake --cores {cores} at most"
    )


def _disk(plan: Plan) -> str:
    disk = plan.disk
    most = _at_most(plan)
    caches = "not known yet" if disk.caches is None else most + show_bytes(disk.caches)
    rows = [
        ("model folders to start from", show_bytes(disk.backbones)),
        ("caches", caches),
        ("trained models", show_bytes(disk.models)),
        ("checkpoints of one training", show_bytes(disk.checkpoints)),
    ]
    if disk.total is not None:
        rows.append(("together", most + show_bytes(disk.total)))
    free = shutil.disk_usage(".").free
    title = "DISK SPACE (computed; data sets, benchmarks, scores and other checkpoints are on top)"
    return f"{_table(title, ['', 'size'], rows)}\nFree here: {show_bytes(free)}"


def _time(plan: Plan) -> str:
    if plan.rates is None:
        return "TIME: not measured (--no-probe)"
    most, rows = _at_most(plan), []
    for task in plan.tasks:
        rate = f"{1 / seconds_per_token(task, plan.rates):,.0f}"
        seconds = job_seconds(task, plan.rates)
        times = ("not known yet", "")
        if seconds is not None:
            times = most + show_hours(seconds), most + show_hours(task.count * seconds)
        rows.append((task.name, rate, task.count, *times))
    title = (
        "TIME (tokens/s measured by a probe with random weights on this machine; the times are\n"
        "estimated from them and the tokens above, without downloads, grading, reading, saving,\n"
        "evaluation, figures, benchmarks and reference models)"
    )
    table = _table(title, ["job", "tokens/s", "jobs", "one job", "all jobs"], rows)
    load, cores = os.getloadavg()[0], plan.machine.cores
    if load > cores:
        table += f"\nOther work slows the probe (load {load:.0f} on {cores} cores); repeat it later"
    total = total_seconds(plan.tasks, plan.rates)
    kind = "GPU time" if plan.machine.gpu else "one job after the other"
    return table if total is None else f"{table}\nIn total: {most}{show_hours(total)} ({kind})"


def _sampling(plan: Plan) -> str:
    rows = [
        (what, f"{sampling.samples:,}", f"{sampling.max_new_tokens:,}", prompts)
        for what, sampling, prompts in _sampled(plan.experiment)
    ]
    title = (
        "SAMPLING (as configured; its time and memory, and everything of `policy`, are in none of\n"
        "the numbers above)"
    )
    return _table(title, ["answers", "of a prompt", "most new tokens", ""], rows)


def _sampled(experiment: Experiment) -> list[tuple[str, Sampling, str]]:
    """What is sampled, how, and of which prompts."""
    parts = [
        (f"solutions of {name}", part.sampling, f"{part.first:,} prompts")
        for name, part in experiment.sampled_sets.items()
    ]
    if experiment.policy is not None:
        parts += [(f"policy {use}", how, "") for use, how in experiment.policy.sampling.items()]
    return parts


def _at_most(plan: Plan) -> str:
    """What stands before numbers that follow from the tokens."""
    return "" if all(part.counted for part in plan.sets) else "at most "


def _table(title: str, columns: list[str], rows: Iterable[tuple]) -> str:
    align = ["left", *["right"] * (len(columns) - 1)]
    if columns[-1] in ("", "wait for"):
        align[-1] = "left"
    table = tabulate(rows, columns, tablefmt="plain", colalign=align, disable_numparse=True)
    return f"{title}\n{table}"
