"""Timing two ways of doing the same work, in turns."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from transformers import Trainer, TrainerCallback

from steps.errors import UserError
from steps.plan.timing import timed, wait

# Between rewards of two ways of computing in a dtype, relative to values of order one.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 0.1}
Run = Callable[[], float]  # does the work once and returns the seconds that it took


@dataclass(frozen=True)
class Seconds:
    """What the rounds took.

    Attributes:
        ours, peer: [n], seconds.
    """

    ours: np.ndarray
    peer: np.ndarray


def in_turns(ours: Run, peer: Run, rounds: int) -> Seconds:
    """Run both in turns, see `in_rotation`."""
    return Seconds(*in_rotation([ours, peer], rounds))


def in_rotation(runs: list[Run], rounds: int) -> np.ndarray:
    """Return the seconds of each run in each round, [runs, rounds]; rounds begin with the next.

    The machine's speed drifts: what stands next to each other is compared. The first round, which
    allocates memory and optimiser states, is not counted.
    """
    taken = np.empty((len(runs), rounds + 1))
    for number in range(rounds + 1):
        for place in range(len(runs)):
            run = (number + place) % len(runs)
            taken[run, number] = runs[run]()
    return taken[:, 1:]


def run_of(work: Callable[[], object]) -> Run:
    """Return the run of a plain function."""
    return lambda: timed(work)[0]


def against_fastest(
    ours: Run, ways: dict[int, Callable[[], Run]], rounds: int
) -> tuple[Seconds, int]:
    """Run ours and the peer's two best ways in rotation; return ours beside the better, and which.

    A single try hardly tells the best two apart, so both go on; none counts its first round. Two
    ways need not be tried beforehand.

    Args:
        ways: of each setting what makes its run. Those that are not taken are let go, because
            trainers hold gigabytes.
    Raises:
        torch.OutOfMemoryError: none of the settings fits into the GPU's memory.
    """
    best = list(ways)
    if len(ways) > 2:
        tried = {choice: _second_round(make) for choice, make in ways.items()}
        best = [choice for choice in sorted(tried, key=tried.get) if tried[choice] < np.inf][:2]
        if not best:
            raise torch.OutOfMemoryError("none of the peer's settings fits into the GPU's memory")
    own, *theirs = _rotation_that_fits(ours, [ways[choice] for choice in best], rounds)
    number = int(np.argmin(np.median(theirs, axis=1)))
    return Seconds(own, theirs[number]), best[number]


def _rotation_that_fits(ours: Run, ways: list[Callable[[], Run]], rounds: int) -> np.ndarray:
    """Rotate ours with these ways, or with the first alone where a GPU cannot hold them all."""
    gc.collect()
    try:
        return in_rotation([ours, *(make() for make in ways)], rounds)
    except torch.OutOfMemoryError:
        if len(ways) == 1:
            raise
    return _rotation_that_fits(ours, ways[:1], rounds)


def _second_round(make: Callable[[], Run]) -> float:
    """Return the seconds of a way's second round; infinity if it runs out of a GPU's memory."""
    gc.collect()  # trainers refer to themselves in circles
    try:
        run = make()
        run()
        return run()
    except torch.OutOfMemoryError:
        return np.inf


class StepClock(TrainerCallback):
    """Takes the time of a `train` call from the first batch's loading to the last step's end.

    So neither side pays for setting up its loop.
    """

    seconds: float

    def on_epoch_begin(self, args, state, control, **kwargs) -> None:
        if state.global_step == 0:
            wait()
            self.start = perf_counter()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        wait()
        self.seconds = perf_counter() - self.start


def training_run(trainer: Trainer) -> Run:
    """Return the run of a trainer: all of its steps, without writing a checkpoint."""
    clock = StepClock()
    trainer.add_callback(clock)
    trainer.args.save_strategy = "no"

    def run() -> float:
        trainer.train()
        return clock.seconds

    return run


def check_equal(name: str, ours, peer, tolerance: float = 1e-5) -> None:
    """Check that both sides compute the same numbers, relative to values of order one.

    Raises:
        UserError: they do not, so their times cannot be compared.
    """
    ours, peer = np.asarray(ours, np.float64), np.asarray(peer, np.float64)
    if ours.shape != peer.shape:
        raise UserError(f"{name}: ours gives {ours.shape} values, the peer {peer.shape}; no row")
    difference = np.abs(ours - peer) / np.maximum(1, np.abs(peer))
    if not difference.max(initial=0.0) <= tolerance:  # not a number is no equality
        raise UserError(
            f"{name}: ours and the peer's values differ by {difference.max():.1e} (allowed: "
            f"{tolerance:g}); a comparison of different computations means nothing"
        )
