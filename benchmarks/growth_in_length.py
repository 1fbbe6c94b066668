"""Training and scoring throughput against the length of a text and the responses of a prompt."""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes

from benchmarks.flops import forward_flops, training_flops
from benchmarks.ours import make_trainer, training_work
from benchmarks.rows import Row, rate_row_alone
from benchmarks.setting import Setting
from benchmarks.timing import run_of, training_run
from steps.cache.encode import EncodedGroups
from steps.cache.tokens import MemoryStore
from steps.files import atomic_path
from steps.groups.schema import PromptGroup, Response
from steps.layouts import packed_states
from steps.report.figure_style import figure_style, line_of, new_figure
from steps.reward_head import token_rewards
from steps.train.trainer import RewardTrainer

MIDDLE, FEWEST = 512, 2  # tokens of a text, responses of a prompt, while the other one varies
PROMPT_SHARE = 4  # of a text of so many tokens, one is the prompt's


@dataclass(frozen=True)
class Point:
    """Tokens a second at a length and a number of responses, medians."""

    length: int
    responses: int
    training: float
    scoring: float


def growth_in_length(setting: Setting) -> list[Row]:
    """Random tokens, about as many in every run; draws growth_in_length.png and .pdf."""
    size = setting.size
    shapes = [(length, FEWEST) for length in size.lengths]
    shapes += [(MIDDLE, k) for k in size.responses if k != FEWEST]
    rows, points = [], []
    for length, responses in shapes:
        made = _measure(setting, length, responses)
        rows += made
        points.append(Point(length, responses, made[0].ours, made[1].ours))
    _draw(setting, points)
    return rows


def _measure(setting: Setting, length: int, responses: int) -> list[Row]:
    """Return the rows of training every weight (one step) and of scoring."""
    group = length + (responses - 1) * (length - length // PROMPT_SHARE)  # its tokens
    count = max(round(setting.size.tokens / group), 1)
    encoded = random_groups(count, length, responses, setting.config.vocab_size)
    one_step = setting.with_training(groups_per_step=len(encoded))
    trainer = make_trainer(one_step, "orm", MemoryStore(encoded), encoded.groups)
    work = training_work(trainer)
    flops = [training_flops(setting.config, work, "full"), forward_flops(setting.config, work)]
    runs = [training_run(trainer), run_of(lambda: _score(trainer))]
    rows = []
    for kind, run, operations in zip(("training", "scoring"), runs, flops, strict=True):
        seconds = np.array([run() for _ in range(setting.size.rounds + 1)])[1:]
        rows.append(
            rate_row_alone(
                setting.machine,
                seconds,
                work.tokens,
                operations,
                name=f"{kind}, texts of {length:,} tokens, {responses} responses per prompt",
                work=f"{len(encoded)} prompts, {work.tokens:,} tokens, each prompt once",
                unit="tokens/s",
            )
        )
    return rows


def random_groups(count: int, length: int, responses: int, vocabulary: int) -> EncodedGroups:
    """Return ``count`` groups of random tokens, a half of each one's responses right.

    Args:
        length: tokens of a prompt and one of its responses.
    """
    prompt = length // PROMPT_SHARE
    parts = [prompt] + [length - prompt] * responses
    texts = tuple(Response(f"{k}", correct=k < responses // 2) for k in range(responses))
    groups = [PromptGroup(f"g{k}", "random", "", f"{k}", texts) for k in range(count)]
    ids = np.random.default_rng(0).integers(vocabulary, size=count * sum(parts), dtype=np.int32)
    return EncodedGroups(groups, ids, np.zeros_like(ids), np.array(parts * count))


@torch.inference_mode()
def _score(trainer: RewardTrainer) -> None:
    """Score all groups, in the micro-batches of training."""
    model = trainer.model.model
    (shares,) = trainer._process_shares(list(range(len(trainer.groups))))
    for batch in shares:
        with trainer.accelerator.autocast():
            cached = [group.cached for group in batch.groups]
            states = packed_states(model, trainer.model.cache, cached, None)
            token_rewards(model, states.hidden)


def _draw(setting: Setting, points: list[Point]) -> None:
    with figure_style():
        figure = new_figure(2.6)
        left, right = figure.subplots(1, 2, sharey=True)
        _lines(left, [p for p in points if p.responses == FEWEST], "length")
        left.set_xlabel("Tokens of prompt and response")
        left.set_ylabel("Tokens per second")
        _lines(right, [p for p in points if p.length == MIDDLE], "responses")
        right.set_xlabel("Responses of a prompt")
        right.legend()
        for kind in ("png", "pdf"):
            with atomic_path(setting.output / f"growth_in_length.{kind}") as temporary:
                figure.savefig(temporary, format=kind)


def _lines(panel: Axes, points: list[Point], x: str) -> None:
    points = sorted(points, key=lambda point: getattr(point, x))
    places = [getattr(point, x) for point in points]
    for number, kind in enumerate(("training", "scoring")):
        values = [getattr(point, kind) for point in points]
        panel.plot(places, values, label=kind, **line_of(number))
    panel.set_xscale("log", base=2)
    panel.set_xticks(places, [f"{place:,}" for place in places])
    panel.set_ylim(bottom=0)
