"""Pair scoring against the PyPI package `rewardbench`, on the same file and model.

The publisher's program runs in its own environment (`make crosscheck-rewardbench` makes it), as
published, with the faster of its default batch size and 1. Its time runs from the first to the last
batch, ours from the texts to the rewards: both tokenise, neither starts up.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.flops import forward_flops, work_of
from benchmarks.reward_model import write_reward_model
from benchmarks.rows import LeftOut, Row, rate_row
from benchmarks.setting import Setting
from benchmarks.texts import one_pair_each
from benchmarks.timing import against_fastest, check_equal, run_of
from checks.rewardbench.__main__ import publishers_rewards
from checks.rewardbench.compare import TOLERANCE, our_rewards
from steps.cache.encode import encode_groups
from steps.export.folder import export_model
from steps.groups.schema import PromptGroup
from steps.score.reward_model import open_reward_model
from steps.score.stream import score_stream

NAME = "scoring of pairs"
PROGRAM = Path(__file__).with_name("rewardbench_clock.py")
BATCH_SIZES = (1, 8)


def against_rewardbench(setting: Setting) -> Row | LeftOut:
    """One pair of each of several prompts, in the order of the file."""
    if not setting.publisher.is_file():
        reason = "the environment of `rewardbench` is not there; `make .venv-rewardbench/installed`"
        return LeftOut(NAME, reason)
    groups = one_pair_each(setting.groups)[: setting.size.scored_pairs]
    folder = setting.work / "exported"
    export_model(write_reward_model(setting), folder, None, None, None)
    ours = open_reward_model(folder)
    theirs = Publisher(setting, folder, groups)
    # Of the publisher's tokens where the two differ at the border of prompt and response.
    own = our_rewards(ours, groups)
    expected = own.as_trained | own.as_rendered
    theirs.seconds(BATCH_SIZES[0])
    check_equal(NAME, np.stack([expected[g.group_id] for g in groups]), theirs.rewards, TOLERANCE)
    ways = {size: partial(partial, theirs.seconds, size) for size in BATCH_SIZES}
    score = run_of(lambda: list(score_stream(ours, groups)))
    seconds, best = against_fastest(score, ways, setting.size.rounds)
    encoded = encode_groups(groups, setting.chat)
    spans = [encoded.span(place) for place in range(len(encoded))]
    return rate_row(
        setting.machine,
        seconds,
        amount=len(groups),
        flops=forward_flops(setting.config, work_of(spans)),
        name=NAME,
        work=f"{len(groups)} pairs, {sum(s.tokens for s in spans):,} tokens",
        peer_name=f"rewardbench 0.1.4, batches of {best}",
        unit="pairs/s",
        target=">= 2",
    )


class Publisher:
    """The publisher's program on some pairs.

    Attributes:
        rewards: [B, 2] of the last run, chosen first.
    """

    def __init__(self, setting: Setting, model: Path, groups: list[PromptGroup]):
        self.setting, self.model, self.groups = setting, model, groups
        self.rewards: np.ndarray | None = None

    def seconds(self, batch_size: int) -> float:
        """Score the pairs; return what the program took between its first and last batch."""
        clock = self.setting.work / "clock.txt"
        table = publishers_rewards(
            self.setting.publisher,
            self.model,
            self.groups,
            program=PROGRAM,
            options=["--batch_size", str(batch_size)],
            environment={
                "CLOCK_FILE": str(clock),
                "OMP_NUM_THREADS": str(torch.get_num_threads()),
            },
        )
        self.rewards = table[["chosen", "rejected"]].to_numpy()
        return float(clock.read_text())
