"""What is asked of a backend, and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Request:
    """One sample to draw.

    Attributes:
        number: its place among all samples of the run.
        prompt: token ids up to and including the assistant's header.
        key: of its random numbers, see `steps.sample.draw.sample_key`.
    """

    number: int
    prompt: tuple[int, ...]
    key: int


@dataclass(frozen=True)
class Completion:
    """A sampled answer.

    Attributes:
        ids: the tokens written, with the control token that ended them, if one did.
        finish_reason: ``stop``, or ``length`` where it was cut at the limit of new tokens.
    """

    ids: list[int]
    finish_reason: FinishReason


class Backend(Protocol):
    """A loaded model with its sampling settings."""

    def generate(
        self, batch: list[Request], asked_to_stop: Callable[[], bool]
    ) -> list[Completion] | None:
        """Return the completion of each request, in order; None if it was asked to stop before."""
        ...


def plan_batches(
    requests: list[Request], max_new_tokens: int, tokens_per_batch: int
) -> list[list[Request]]:
    """Cut the requests into batches of prompts of like length, so that little is padded.

    A batch is at most ``tokens_per_batch`` large, counting its longest prompt and the longest
    possible answer for each of its requests; one request is always allowed.
    """
    batches: list[list[Request]] = []
    for request in sorted(requests, key=lambda r: (len(r.prompt), r.prompt, r.number)):
        # Sorted: the newcomer's prompt is the longest.
        size = len(request.prompt) + max_new_tokens
        if not batches or (len(batches[-1]) + 1) * size > tokens_per_batch:
            batches.append([])
        batches[-1].append(request)
    return batches
