"""What the workflow costs beside the steps that it runs."""

import calendar
import os
import subprocess
import time

from benchmarks.rows import LeftOut, Row
from benchmarks.setting import ROOT, Setting
from benchmarks.timing import run_of
from steps.config import load_experiment
from steps.errors import UserError
from steps.files import read_json

LARGEST = "gemma2b_uf400k"  # of the experiments at the paper's scale
QUICKSTART = "whole quickstart over the steps' own time"


def dry_run(setting: Setting) -> Row:
    """The dry run of the largest experiment."""
    command = ["snakemake", "--dry-run", "--quiet", "all", "--config", f"experiment={LARGEST}"]

    def plan() -> None:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            raise UserError(f"`{' '.join(command)}` failed: {done.stderr.strip()[-300:]}")

    run = run_of(plan)
    run()  # the first one reads from the disk
    seconds = sorted(run() for _ in range(setting.size.rounds))
    return _alone(setting, "dry run", f"experiment {LARGEST}", seconds, "<= 5 s")


def _alone(setting: Setting, name: str, work: str, seconds: list[float], target: str) -> Row:
    return Row(
        name=name,
        work=work,
        peer_name="–",
        unit="s",
        ours=seconds[len(seconds) // 2],
        ours_range=(seconds[0], seconds[-1]),
        peer=None,
        ratio=None,
        ratio_range=None,
        n=len(seconds),
        target=target,
        machine=setting.machine.name,
    )


def quickstart_overhead(setting: Setting) -> Row | LeftOut:
    """The quickstart as it was run on this machine, by its run cards."""
    cards = [read_json(p) for p in (ROOT / "results/quickstart/cards").glob("*.json")]
    threads = load_experiment(ROOT / "config/quickstart.yaml").threads
    return overhead(setting, cards, len(os.sched_getaffinity(0)) // threads)


def overhead(setting: Setting, cards: list[dict], jobs: int) -> Row | LeftOut:
    """Return the row of a run with ``jobs`` at once.

    Ours is the time from the first step's start to the last one's end, times the jobs; the peer is
    what the steps took by their own cards, which open when all is imported. So the difference is
    Python's start, imports, Snakemake, and cores that wait for work. Exports are made on demand,
    later.
    """
    cards = [card for card in cards if card["step"] != "export"]
    if not any(card["step"] == "figures" for card in cards):
        return LeftOut(QUICKSTART, "it has not been run here; `make quickstart` in a fresh clone")
    if len({card["commit"] for card in cards}) > 1:
        return LeftOut(QUICKSTART, "its steps were not run in one go; run it in a fresh clone")
    starts = [calendar.timegm(time.strptime(c["started"], "%Y-%m-%dT%H:%M:%SZ")) for c in cards]
    ends = [start + card["seconds"] for start, card in zip(starts, cards, strict=True)]
    whole = (max(ends) - min(starts)) * jobs
    own = sum(card["seconds"] for card in cards)
    return Row(
        name=QUICKSTART,
        work=f"{len(cards)} steps, {jobs} at once, at {(cards[0]['commit'] or 'no commit')[:7]}",
        peer_name="the sum of the steps' own seconds",
        unit="s x jobs",
        ours=whole,
        peer=own,
        ratio=whole / own,
        ratio_range=None,
        n=1,
        target="<= 1.15",
        machine=setting.machine.name,
    )
