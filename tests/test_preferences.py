"""Pair selection on constructed rewards."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steps.config.policy import PairSelection
from steps.errors import UserError
from steps.groups.schema import PromptGroup, Response, write_groups
from steps.policy.schema import read_policy_pairs, write_policy_pairs
from steps.preferences import __main__ as command
from steps.preferences.rewards import read_rewards
from steps.preferences.select import select_pairs
from steps.score.schema import Origin, rewards_schema
from tests.test_sample import write_experiment

DEFAULT = PairSelection()


def group(texts: str, name: str = "g0", reasons: str | None = None) -> PromptGroup:
    """One response per letter; ``reasons`` has an l for each that was cut."""
    finish = [{"s": "stop", "l": "length"}[c] for c in reasons or "s" * len(texts)]
    responses = tuple(Response(t, finish_reason=f) for t, f in zip(texts, finish, strict=True))
    return PromptGroup(name, "test", "all", f"Prompt of {name}?", responses)


def chosen_and_rejected(
    rewards: list[float], texts: str, settings: PairSelection = DEFAULT, reasons: str | None = None
) -> tuple[str, str]:
    pairs, _, _ = select_pairs([group(texts, reasons=reasons)], [np.array(rewards)], settings, str)
    (row,) = pairs.itertuples()
    return row.chosen, row.rejected


def refused(rewards: list[float], texts: str, settings=DEFAULT, reasons: str | None = None) -> str:
    with pytest.raises(UserError) as error:
        chosen_and_rejected(rewards, texts, settings, reasons)
    return str(error.value)


def test_chosen_has_the_highest_and_rejected_the_lowest_reward() -> None:
    assert chosen_and_rejected([0.5, 2.0, -1.0, 0.0], "abcd") == ("b", "c")


def test_ties_are_drawn_by_seed_and_prompt() -> None:
    rewards = [1.0, 1.0, 0.0, 0.0]
    drawn = [chosen_and_rejected(rewards, "abcd", PairSelection(seed=seed)) for seed in range(40)]
    assert set(drawn) == {("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")}
    assert chosen_and_rejected(rewards, "abcd", PairSelection(seed=7)) == drawn[7]


def test_equal_texts_are_no_pair() -> None:
    rewards = [1.0, 1.0 - 1e-7]
    assert "1 prompts whose two samples are the same text" in refused(rewards, "aa")
    keep = PairSelection(drop_equal_texts=False)
    assert chosen_and_rejected(rewards, "aa", keep) == ("a", "a")


def test_a_gap_below_the_minimum_is_no_pair() -> None:
    assert "less than minimum_gap" in refused([0.0, 0.4], "ab", PairSelection(minimum_gap=0.5))
    assert chosen_and_rejected([0.0, 0.5], "ab", PairSelection(minimum_gap=0.5)) == ("b", "a")


def test_unfinished_samples_are_dropped_or_counted() -> None:
    rewards = [3.0, 2.0, 1.0]
    assert chosen_and_rejected(rewards, "abc", reasons="lss") == ("b", "c")
    assert "fewer than two finished samples" in refused([3.0, 2.0], "ab", reasons="ll")
    keep = PairSelection(drop_unfinished=False)
    assert chosen_and_rejected(rewards, "abc", keep, "lss") == ("a", "c")
    groups = [group("abc", f"g{k}", reasons) for k, reasons in enumerate(("lss", "sls", "lsl"))]
    for settings, unfinished in ((keep, 2), (DEFAULT, 0)):
        assert select_pairs(groups, [np.array(rewards)] * 3, settings, str)[2] == unfinished


def test_one_response_is_no_pair() -> None:
    assert "fewer than two finished samples" in refused([3.0], "a")


def test_a_constant_reward_model_is_named() -> None:
    assert "gives all samples of a prompt the same reward" in refused([1.0, 1.0], "ab")


def test_prompts_without_a_pair_are_counted() -> None:
    groups = [group("ab", "g0"), group("ab", "g1"), group("a", "g2")]
    rewards = [np.array([1.0, 2.0]), np.array([1.0, 1.0]), np.array([0.0])]
    pairs, counts, _ = select_pairs(groups, rewards, DEFAULT, lambda prompt: f"{prompt} Box it.")
    assert pairs["prompt_id"].tolist() == ["g0"]
    assert pairs["prompt"].tolist() == ["Prompt of g0? Box it."]
    assert counts == {
        "prompts whose rewards are all equal": 1,
        "prompts with fewer than two finished samples": 1,
    }


def write_rewards(
    path: Path,
    groups: list[PromptGroup],
    rewards: list[list[float]],
    origin: Origin = Origin("test", "0"),  # noqa: B008 (frozen)
) -> None:
    rows = [
        {"group_id": g.group_id, "response": k, "reward": reward, "n_tokens": 3 + k}
        for g, own in zip(groups, rewards, strict=True)
        for k, reward in enumerate(own)
    ]
    pq.write_table(pa.Table.from_pylist(rows[::-1], schema=rewards_schema(False, origin)), path)


def test_rewards_are_aligned_and_checked(tmp_path: Path) -> None:
    groups, path = [group("ab", "g0"), group("abc", "g1")], tmp_path / "rewards.parquet"
    write_rewards(path, groups, [[1.0, 2.0], [3.0, 4.0, 5.0]])
    assert [each.rewards.tolist() for each in read_rewards(path, groups)] == [[1, 2], [3, 4, 5]]
    with pytest.raises(UserError, match="response 2 of group 'g0' has no score"):
        read_rewards(path, [group("abc", "g0"), groups[1]])
    write_rewards(path, groups, [[1.0, 2.0], [3.0, float("nan"), 5.0]])
    with pytest.raises(UserError, match="row 1: the reward is not a finite number"):
        read_rewards(path, groups)
    write_rewards(path, [*groups, groups[0]], [[1.0, 2.0], [3.0, 4.0, 5.0], [1.0, 2.0]])
    with pytest.raises(UserError, match="scored twice"):
        read_rewards(path, groups)


class Selection:
    """The command on three prompts, two of which equal or resemble one of an evaluation set."""

    NAMES = ("groups", "scores", "near", "equal", "pairs", "report.json", "card.json")

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder, self.monkeypatch = folder, monkeypatch
        self.paths = {name: folder / name for name in self.NAMES}
        prompts = [
            "Add 12 and 30, please.",
            "Why is the sky blue at noon?",
            "Name a river of Asia.",
        ]
        self.groups = [
            replace(group("ab", f"g{k}"), prompt=prompt) for k, prompt in enumerate(prompts)
        ]
        self.give(self.groups)
        near = replace(group("a", "h1"), prompt="Why was the sky blue at noon?")
        equal = replace(group("a", "h0"), prompt="add  12 and 30, please.")  # up to case and space
        write_groups(self.paths["near"], [near])
        write_groups(self.paths["equal"], [equal])

    def give(self, groups: list[PromptGroup]) -> None:
        write_groups(self.paths["groups"], groups)
        write_rewards(self.paths["scores"], groups, [[1.0, 2.0]] * len(groups))

    def run(self, pairs: dict | None = None, **sampling) -> pd.DataFrame:
        flags = {
            "--experiment": write_experiment(self.folder, pairs, **sampling),
            "--groups": self.paths["groups"],
            "--scores": self.paths["scores"],
            "--output": self.paths["pairs"],
            "--report": self.paths["report.json"],
            "--card": self.paths["card.json"],
        }
        flat = [str(part) for flag in flags.items() for part in flag]
        flat += ["--evaluation", str(self.paths["near"]), str(self.paths["equal"])]
        self.monkeypatch.setattr(sys, "argv", ["preferences", *flat])
        command.main()
        return read_policy_pairs(self.paths["pairs"])

    def report(self) -> dict:
        return json.loads(self.paths["report.json"].read_text())


@pytest.fixture
def selection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Selection:
    return Selection(tmp_path, monkeypatch)


def test_prompts_of_every_evaluation_set_are_left_out(selection: Selection) -> None:
    assert selection.run()["prompt_id"].tolist() == ["g2"]
    report = selection.report()
    assert report["dropped"] == {"equal_prompts": ["g0"], "near_duplicate_prompts": ["g1"]}
    assert (report["pairs"], report["unfinished_pairs"]) == (1, 0)
    near, equal = report["comparisons"]
    assert equal["equal_prompts"]["groups"] == [["g0", "h0"]]
    assert near["near_duplicate_prompts"]["groups"] == [["g1", "h1"]]
    assert json.loads(selection.paths["card.json"].read_text())["step"] == "preferences"


def test_near_duplicates_stay_where_the_experiment_says_so(selection: Selection) -> None:
    """Equal prompts never do, and the report names the others all the same."""
    pairs = selection.run({"drop_near_duplicates": False})
    assert pairs["prompt_id"].tolist() == ["g1", "g2"]
    report = selection.report()
    assert report["dropped"] == {"equal_prompts": ["g0"], "near_duplicate_prompts": []}
    assert report["comparisons"][0]["near_duplicate_prompts"]["groups"] == [["g1", "h1"]]


def test_pairs_have_the_prompt_that_the_policy_reads(selection: Selection) -> None:
    pairs = selection.run(instruction="In one word.")
    assert pairs["prompt"].tolist() == ["Name a river of Asia.\n\nIn one word."]


def test_no_prompt_left_is_an_error_with_its_remedy(selection: Selection) -> None:
    first, second, _ = selection.groups
    selection.give([first])
    with pytest.raises(UserError, match=r"1 equal a prompt .* 0 are near-duplicates of one; give"):
        selection.run()
    selection.give([second])
    remedy = r"set policy\.pairs\.drop_near_duplicates: false"
    with pytest.raises(UserError, match=f"0 equal .* 1 are near-duplicates of one; {remedy}"):
        selection.run()
    assert not selection.paths["pairs"].exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chosen": " "}, "row 0: 'chosen' is empty"),
        ({"rejected_reward": 2.0}, "row 0: chosen_reward does not exceed"),
        ({"chosen_reward": float("nan")}, "row 0: chosen_reward does not exceed"),
    ],
)
def test_bad_pairs_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    row = {
        "prompt_id": "g0",
        "prompt": "Why?",
        "chosen": "a",
        "rejected": "b",
        "chosen_reward": 1.0,
        "rejected_reward": 0.0,
    }
    path = tmp_path / "pairs.parquet"
    with pytest.raises(UserError, match=message):
        write_policy_pairs(path, pd.DataFrame([row | change]))
    with pytest.raises(UserError, match="row 1: the prompt_id occurs twice"):
        write_policy_pairs(path, pd.DataFrame([row, row]))
    with pytest.raises(UserError, match="has no pair"):
        write_policy_pairs(path, pd.DataFrame([row]).iloc[:0])
    assert not path.exists()
