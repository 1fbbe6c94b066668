"""Scoring many responses of a prompt: all at once, or one response at a time."""

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from benchmarks.flops import forward_flops, work_of
from benchmarks.reward_model import write_reward_model
from benchmarks.rows import Row, rate_row
from benchmarks.setting import Setting
from benchmarks.texts import candidate_sets, with_long_prompts
from benchmarks.timing import TOLERANCE, check_equal, in_turns, run_of
from steps.cache.encode import encode_groups
from steps.groups.schema import PromptGroup
from steps.score.reward_model import RewardModel, open_reward_model
from steps.score.stream import score_stream


def best_of_short_prompts(setting: Setting) -> Row:
    """The problems as they are."""
    return _compare(setting, candidate_sets(setting), "short", None)


def best_of_long_prompts(setting: Setting) -> Row:
    """The problems behind solved examples."""
    groups = with_long_prompts(setting, candidate_sets(setting))
    return _compare(setting, groups, "long", ">= 2")


def _compare(setting: Setting, groups: list[PromptGroup], kind: str, target: str | None) -> Row:
    folder = write_reward_model(setting)
    ours = open_reward_model(folder, precision=setting.experiment.training.precision)
    theirs = AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="sdpa", dtype=setting.dtype
    )
    theirs = theirs.to(ours.model.device).eval()
    number = setting.size.candidates
    name = f"best-of-{number} scoring, {kind} prompts"
    wanted = one_by_one(theirs, ours, groups)
    check_equal(name, together(ours, groups), wanted, TOLERANCE[setting.dtype])
    seconds = in_turns(
        run_of(lambda: together(ours, groups)),
        run_of(lambda: one_by_one(theirs, ours, groups)),
        setting.size.rounds,
    )
    encoded = encode_groups(groups, setting.chat)
    spans = [encoded.span(place) for place in range(len(encoded))]
    prompts = sum(s.prompt[1] - s.prompt[0] for s in spans)
    responses = sum(s.tokens for s in spans) - prompts
    share = number * prompts / (number * prompts + responses)
    return rate_row(
        setting.machine,
        seconds,
        amount=number * len(groups),
        flops=forward_flops(setting.config, work_of(spans)),
        name=name,
        work=f"{len(groups)} prompts; {share:.0%} of the rows' tokens are prompt",
        peer_name="one response at a time",
        unit="responses/s",
        target=target,
    )


def together(model: RewardModel, groups: list[PromptGroup]) -> np.ndarray:
    """Return the rewards of all responses, as the score step gives them."""
    return np.concatenate([scored.rewards for scored in score_stream(model, groups)])


@torch.inference_mode()
def one_by_one(
    model: PreTrainedModel, encoder: RewardModel, groups: list[PromptGroup]
) -> np.ndarray:
    """Return the rewards of all responses, each a row by itself: no padding, no mask."""
    rewards = []
    for group in groups:
        for each in encoder.encode(group):
            ids = torch.tensor([each.prompt + each.response.ids], device=model.device)
            rewards.append(float(model(input_ids=ids, use_cache=False).logits[0, 0]))
    return np.array(rewards)
