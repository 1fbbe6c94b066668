"""Sampling that continues where it was interrupted.

Finished batches are kept in a journal, bound to everything that decides what is sampled. An
interrupted run continues after the last of them, with the same samples as an undisturbed one.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from steps.journal import append_value, read_values, write_values
from steps.progress import Progress
from steps.sample.backend import Backend, Completion, Request
from steps.stop import leave
from steps.unfinished import open_work

JOURNAL = "journal.jsonl"


def complete_batches(
    backend: Backend,
    batches: list[list[Request]],
    plan: dict[str, Any],
    work: Path,
    name: str,
    asked_to_stop: Callable[[], bool],
) -> list[Completion]:
    """Return the completions of all requests, ordered by their numbers.

    When asked to stop, the process gives the batch in hand up and ends.

    Args:
        plan: what the samples depend on, ready for JSON; another one than that of ``work`` starts
            anew.
        work: folder of the journal; held by this process alone (`steps.lock.only_writer`).
        name: shown in the progress line.
    """
    done = _resume(work, plan)
    progress = Progress(
        name, sum(map(len, batches)), "samples", sum(map(len, batches[: len(done)]))
    )
    for batch in batches[len(done) :]:
        completions = backend.generate(batch, asked_to_stop)
        if completions is None:
            leave(name)
        done.append([[each.ids, each.finish_reason] for each in completions])
        append_value(work / JOURNAL, done[-1])
        progress.advance(len(batch))
        if asked_to_stop():
            leave(name)
    numbered = {
        request.number: Completion(*written)
        for batch, line in zip(batches, done, strict=True)
        for request, written in zip(batch, line, strict=True)
    }
    return [numbered[number] for number in sorted(numbered)]


def _resume(work: Path, plan: dict[str, Any]) -> list[list]:
    """Return the finished batches of ``work``; an empty folder if they are of another plan."""
    if not open_work(plan, work, {JOURNAL}):
        return []
    done = read_values(work / JOURNAL)
    write_values(work / JOURNAL, done)
    return done
