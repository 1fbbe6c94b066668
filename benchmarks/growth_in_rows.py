"""Time and memory of data preparation, cache and scoring against the rows of the input.

Every stage is its own command, with a run card, on a generated file of pairs, all of like length,
and with a random model of a few thousand parameters: what is measured here is not the model's
arithmetic. Start-up is part of the time.
"""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import yaml

from benchmarks.reward_model import write_reward_model
from benchmarks.rows import Row
from benchmarks.setting import ROOT, Setting, tiny_backbone
from steps.errors import UserError
from steps.files import atomic_path, read_json, write_text
from steps.report.figure_style import figure_style, line_of, new_figure

HELD_OUT = 50  # rows of the evaluation file
STAGES = ("prepare", "select", "pairs", "cache", "score")


@dataclass(frozen=True)
class Point:
    """What a stage took.

    Attributes:
        memory: bytes of the process at its peak, by its run card.
    """

    stage: str
    rows: int
    seconds: float
    memory: int


def growth_in_rows(setting: Setting) -> list[Row]:
    """Each number of rows once; draws growth_in_rows.png and .pdf."""
    setting = replace(setting, backbone=tiny_backbone(setting.work))
    model = write_reward_model(setting)
    points = [point for rows in setting.size.rows for point in _measure(setting, model, rows)]
    _draw(setting, points)
    return [_row(setting, [p for p in points if p.stage == stage]) for stage in STAGES]


def _measure(setting: Setting, model: Path, rows: int) -> list[Point]:
    folder = setting.work / f"rows-{rows}"
    for name, first, count in (("train", 0, rows), ("test", rows, HELD_OUT)):
        write_text(folder / f"{name}.jsonl", "".join(_pair(first + k) for k in range(count)))
    experiment = folder / "experiment.yaml"
    write_text(experiment, yaml.safe_dump(_experiment(setting, folder)))
    points = []
    for stage, command in zip(STAGES, _commands(setting, model, folder), strict=True):
        card = folder / f"cards/{stage}.json"
        seconds = _seconds([*command, "--card", str(card)])
        memory = read_json(card)["peak_memory_mb"]
        if memory is None:
            raise UserError("this system does not tell how much memory a process has had")
        points.append(Point(stage, rows, seconds, memory << 20))
    return points


def _pair(number: int) -> str:
    """Return a row whose prompt no other number has."""
    number += 1_000_000  # numbers of as many digits whatever the rows: texts of like length
    total = 3 * number + 7
    row = {
        "prompt": f"There are {number} red, {number + 7} blue and {number} green ones. How many?",
        "chosen": f"We add them: {number} + {number + 7} + {number} = {total}. It is {total}.",
        "rejected": f"We add them: {number} + {number + 7} = {total + 1}. It is {total + 1}.",
    }
    return json.dumps(row) + "\n"


def _experiment(setting: Setting, folder: Path) -> dict:
    return {
        "title": "Growth",
        "backbone": {"source": "local", "path": str(setting.backbone)},
        "data": {
            "source": "files",
            "train": str(folder / "train.jsonl"),
            "evaluation": {"test": str(folder / "test.jsonl")},
        },
        "selection": {"max_tokens": 512, "right_per_prompt": 1, "wrong_per_prompt": 1},
        "methods": ["orm"],
        "seeds": [0],
        "training": {
            "mode": "upper_layers",
            "trained_layers": 2,
            "epochs": 1,
            "groups_per_step": 4,
            "learning_rate": 1e-3,
        },
        "threads": setting.experiment.threads,
    }


def _commands(setting: Setting, model: Path, folder: Path) -> list[list[str]]:
    """Return the command of every stage."""
    experiment = ["--experiment", f"{folder}/experiment.yaml"]
    backbone = ["--backbone", str(setting.backbone)]
    groups = ["--groups", f"{folder}/groups/train.parquet"]
    prepared = f"{folder}/prepared"
    select = ["--prepared", prepared, *backbone, "--output", f"{folder}/groups"]
    score = ["--model", str(model), "--input", f"{folder}/train.jsonl"]
    commands = [
        ["steps.groups", "prepare", *experiment, "--output", prepared],
        ["steps.groups", "select", *experiment, *select],
        ["steps.pairs", *groups, "--output", f"{folder}/pairs.parquet"],
        ["steps.cache", "build", *experiment, *backbone, *groups, "--output", f"{folder}/cache"],
        ["steps.score", *score, "--output", f"{folder}/scores.parquet"],
    ]
    return [[sys.executable, "-m", *command] for command in commands]


def _seconds(command: list[str]) -> float:
    """Run a command; return its seconds.

    Raises:
        UserError: it failed.
    """
    start = perf_counter()
    if subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL).returncode != 0:
        raise UserError(f"`{' '.join(command[1:])}` failed; what it printed is above")
    return perf_counter() - start


def _row(setting: Setting, points: list[Point]) -> Row:
    """Return the time of a pair at the largest number beside that at the one before."""
    *_, before, last = points
    each = [point.seconds / point.rows * 1e6 for point in (last, before)]
    return Row(
        name=f"growth in rows: {last.stage}",
        work=f"{last.rows:,} pairs in {last.seconds:,.0f} s, {last.memory / 1e9:.2f} GB at the "
        f"peak ({before.memory / 1e9:.2f} GB with {before.rows:,})",
        peer_name=f"ours with {before.rows:,} pairs",
        unit="microseconds per pair",
        ours=each[0],
        peer=each[1],
        ratio=each[0] / each[1],
        ratio_range=None,
        n=1,
        target="<= 1.1, below 3 GB",
        machine=setting.machine.name,
    )


def _draw(setting: Setting, points: list[Point]) -> None:
    with figure_style():
        figure = new_figure(2.6)
        left, right = figure.subplots(1, 2)
        for number, stage in enumerate(STAGES):
            own = [point for point in points if point.stage == stage]
            rows, style = [point.rows for point in own], line_of(number)
            left.plot(rows, [point.seconds for point in own], label=stage, **style)
            right.plot(rows, [point.memory / 1e9 for point in own], label=stage, **style)
        left.set(xscale="log", yscale="log", xlabel="Pairs", ylabel="Seconds")
        right.set(xscale="log", xlabel="Pairs", ylabel="Peak memory (GB)", ylim=(0, None))
        left.yaxis.set_major_formatter("{x:,g}")  # powers of ten would be mathematical text
        for panel in (left, right):
            panel.minorticks_off()
            panel.set_xticks(rows, [f"{number:,}" for number in rows])
        left.legend()
        for kind in ("png", "pdf"):
            with atomic_path(setting.output / f"growth_in_rows.{kind}") as temporary:
                figure.savefig(temporary, format=kind)
