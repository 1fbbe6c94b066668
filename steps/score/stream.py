"""Scoring prompt groups one after the other, in memory that does not grow with their number."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from steps.errors import UserError
from steps.groups.schema import PromptGroup
from steps.score.batches import cut_batches
from steps.score.conversation import Conversation, fit
from steps.score.reward_model import RewardModel

NOT_FINITE = (
    "a response gets a reward that is not a finite number; the model has diverged, or give another "
    "--precision"
)


@dataclass(frozen=True)
class ScoredGroup:
    """The scores of a prompt group's K responses.

    Attributes:
        rewards: [K], float32.
        n_tokens: [K], int32, of each response with the end-of-turn token.
        truncated: [K], bool, whether the end of the response was cut off.
        token_rewards: of each response, [n_tokens] float32; None where not asked for.
        token_ends: of each response, [n_tokens] int32: characters of its text up to each token's
            end; None where not asked for.
    """

    group_id: str
    rewards: np.ndarray
    n_tokens: np.ndarray
    truncated: np.ndarray
    token_rewards: list[np.ndarray] | None = None
    token_ends: list[np.ndarray] | None = None


@dataclass
class _Pending:
    """A group whose responses are not all scored yet."""

    group: PromptGroup
    conversations: list[Conversation]
    scores: list[tuple[float, np.ndarray | None]] = field(default_factory=list)


OnError = Callable[[PromptGroup, UserError], None]


def score_stream(
    reward_model: RewardModel,
    groups: Iterable[PromptGroup],
    *,
    max_length: int | None = None,
    truncate: bool = False,
    token_rewards: bool = False,
    tokens_per_batch: int = 4096,
    on_error: OnError | None = None,
) -> Iterator[ScoredGroup]:
    """Yield the rewards of every group, in order.

    Args:
        max_length: tokens of prompt and response together; None for what the model takes.
        truncate: cut the end off what is longer, and mark it; else it is an error.
        token_rewards: give the reward at every token of the responses too.
        tokens_per_batch: tokens computed at once.
        on_error: called with a group that cannot be scored, which is then left out; None raises.
    Raises:
        UserError: naming the group that has a text which cannot be encoded or is too long, or
            gets a reward that is not a finite number; or the model, which takes less than
            ``max_length`` or does not tell what it takes.
    """
    longest = reward_model.limit(max_length)
    if token_rewards:
        reward_model.check_token_rewards()
    waiting: deque[_Pending] = deque()  # the group of each conversation that is not scored yet
    complain = on_error or _raise

    def conversations() -> Iterator[Conversation]:
        for group in groups:
            try:
                fitting = [fit(each, longest, truncate) for each in reward_model.encode(group)]
            except UserError as error:
                complain(group, error)
                continue
            waiting.extend([_Pending(group, fitting)] * len(fitting))
            yield from fitting

    for batch in cut_batches(conversations(), tokens_per_batch, reward_model.layout):
        for score in reward_model.score(batch, token_rewards):
            pending = waiting.popleft()
            pending.scores.append(score)
            if len(pending.scores) < len(pending.conversations):
                continue
            if np.isfinite([reward for reward, _ in pending.scores]).all():
                yield _scored(pending, token_rewards)
            else:
                complain(pending.group, UserError(NOT_FINITE))


def _raise(group: PromptGroup, error: UserError) -> None:
    raise UserError(f"group '{group.group_id}': {error}") from None


def _scored(pending: _Pending, token_rewards: bool) -> ScoredGroup:
    responses = [each.response for each in pending.conversations]
    return ScoredGroup(
        pending.group.group_id,
        np.array([reward for reward, _ in pending.scores], np.float32),
        np.array([len(response.ids) for response in responses], np.int32),
        np.array([each.truncated for each in pending.conversations]),
        [values for _, values in pending.scores] if token_rewards else None,
        [np.array(response.ends, np.int32) for response in responses] if token_rewards else None,
    )
