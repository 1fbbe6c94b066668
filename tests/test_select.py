"""Selection: what is dropped is counted, draws are balanced, matched by author and seeded."""

import argparse
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from steps.backbone import load_tokenizer
from steps.chat import ChatFormat
from steps.config import Experiment
from steps.config.schema import Selection
from steps.errors import UserError
from steps.groups.schema import PromptGroup, Response, read_groups, write_groups
from steps.groups.select import draw_matched, run, select_set
from steps.pairs import __main__ as pairs_command

LABELS = ("pairwise", "pointwise")
SETTINGS = Selection(max_tokens=60, right_per_prompt=2, wrong_per_prompt=2)


@pytest.fixture(scope="module")
def chat(backbone: Path, experiment) -> ChatFormat:
    return ChatFormat(load_tokenizer(backbone, experiment))


def group(name: str, right: int, wrong: int, length: int = 10) -> PromptGroup:
    responses = [Response(f"r{k}".ljust(length, "."), correct=True) for k in range(right)]
    responses += [Response(f"w{k}".ljust(length, "."), correct=False) for k in range(wrong)]
    return PromptGroup(name, "test", "c", f"prompt {name}", tuple(responses))


def labels(group: PromptGroup) -> Counter:
    return Counter(response.correct for response in group.responses)


def test_right_and_wrong_are_limited_separately(chat: ChatFormat) -> None:
    (kept,), counts = select_set("train", [group("a", 5, 3)], chat, SETTINGS)
    assert labels(kept) == {True: 2, False: 2}
    assert counts["dropped"] == {"responses above the number per prompt": 4}


def test_evaluation_prompts_are_filled_up(chat: ChatFormat) -> None:
    settings = SETTINGS.model_copy(update={"evaluation_responses": 6})
    (kept,), _ = select_set("test", [group("a", 1, 9)], chat, settings)
    assert labels(kept) == {True: 1, False: 5}
    (kept,), _ = select_set("train", [group("a", 1, 9)], chat, settings)
    assert labels(kept) == {True: 1, False: 2}


def test_evaluation_prompts_with_too_few_responses_are_left_out_on_request(
    chat: ChatFormat,
) -> None:
    settings = Selection(**SETTINGS.model_dump() | {"evaluation_responses": 6})
    required = Selection(**settings.model_dump() | {"evaluation_responses_required": True})
    groups = [group("a", 1, 4), group("b", 1, 5)]
    assert [g.group_id for g in select_set("test", groups, chat, settings)[0]] == ["a", "b"]
    kept, counts = select_set("test", groups, chat, required)
    assert [g.group_id for g in kept] == ["b"]
    assert counts["dropped"] == {"prompts with fewer than 6 responses": 1}
    assert len(select_set("train", groups, chat, required)[0]) == 2
    with pytest.raises(UserError, match=r"1 prompts with fewer than 6 .*lower selection\.eval"):
        select_set("test", groups[:1], chat, required)
    with pytest.raises(ValueError, match="needs `evaluation_responses`"):
        Selection(**SETTINGS.model_dump() | {"evaluation_responses_required": True})


def test_long_responses_are_dropped_whole_and_counted(chat: ChatFormat) -> None:
    groups = [group("a", 2, 2), group("b", 2, 2, length=100)]
    kept, counts = select_set("train", groups, chat, SETTINGS)
    assert [g.group_id for g in kept] == ["a"]
    assert counts["dropped"]["responses over 60 tokens"] == 4
    assert counts["dropped"]["prompts without a response left"] == 1
    text = kept[0].responses[0].text
    size = len(chat.encode_prompt("prompt a")) + len(chat.encode_response("prompt a", text).ids)
    exact = SETTINGS.model_copy(update={"max_tokens": size})
    assert len(select_set("train", groups, chat, exact)[0]) == 1  # the cut-off itself fits


def test_prompts_that_give_no_pair_are_counted(chat: ChatFormat) -> None:
    groups = [group("a", 1, 1), group("b", 2, 0), group("c", 0, 2)]
    kept, counts = select_set("test", groups, chat, SETTINGS)
    assert [g.group_id for g in kept] == ["a"]
    assert counts["dropped"]["prompts without a wrong response"] == 1
    assert counts["dropped"]["prompts without a right response"] == 1


def test_pointwise_training_keeps_prompts_without_a_pair(chat: ChatFormat) -> None:
    scored = PromptGroup("d", "test", "c", "p", tuple(Response(f"t{k}", score=k) for k in (1, 2)))
    groups = [group("a", 1, 1), group("b", 5, 0), group("c", 0, 1), scored]
    kept, counts = select_set("train", groups, chat, SETTINGS, "pointwise")
    assert [labels(g) for g in kept] == [{True: 1, False: 1}, {True: 2}, {False: 1}]
    assert counts["dropped"] == {
        "prompts without a response known to be right or wrong": 1,
        "responses above the number per prompt": 3,
    }
    held_out = [select_set("test", groups, chat, SETTINGS, kind) for kind in LABELS]
    assert held_out[0] == held_out[1]


def test_the_command_selects_by_the_labels_of_the_training(
    experiment: Experiment, backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = tmp_path / "prepared"
    for name in ("train", *experiment.evaluation_sets):
        write_groups(prepared / f"{name}.parquet", [group(f"{name}-a", 1, 1), group(name, 2, 0)])
    sizes = {}
    for kind in LABELS:
        training = experiment.training.model_copy(update={"labels": kind})
        changed = experiment.model_copy(update={"training": training})
        monkeypatch.setattr("steps.config.load_experiment", lambda _, changed=changed: changed)
        output = tmp_path / kind
        run(
            argparse.Namespace(
                experiment=None, prepared=prepared, backbone=backbone, output=output, card=None
            )
        )
        sets = ("train", "in_distribution")
        sizes[kind] = [len(read_groups(output / f"{name}.parquet")) for name in sets]
    assert sizes == {"pairwise": [1, 1], "pointwise": [2, 1]}


def test_a_label_that_changes_after_the_selection_is_refused(
    experiment: Experiment, backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the step that reads it, though the file itself is whole."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("steps.config.load_experiment", lambda _: experiment)
    prepared, output = Path("results/x/prepared"), Path("results/x/groups")
    for name in ("train", *experiment.evaluation_sets):
        write_groups(prepared / f"{name}.parquet", [group(name, 2, 2)])
    card = Path("results/x/cards/select_groups.json")
    run(
        argparse.Namespace(
            experiment=None, prepared=prepared, backbone=backbone, output=output, card=card
        )
    )
    train = output / "train.parquet"
    (before,) = read_groups(train)
    first, *others = before.responses
    changed = replace(before, responses=(replace(first, correct=not first.correct), *others))
    words = ["--groups", str(train), "--output", "pairs.parquet", "--card", "pairs.json"]
    monkeypatch.setattr("sys.argv", ["pairs", *words])
    pairs_command.main()
    write_groups(train, [changed])
    with pytest.raises(UserError, match=r"groups/train\.parquet is not what its step wrote"):
        pairs_command.main()


def test_one_sided_evaluation_prompts_are_kept_where_wanted(chat: ChatFormat) -> None:
    groups = [group("right", 2, 0), group("both", 1, 1)]
    wanted = SETTINGS.model_copy(update={"one_sided_prompts": True})
    sizes = {
        (name, settings.one_sided_prompts): len(select_set(name, groups, chat, settings)[0])
        for name in ("train", "validation")
        for settings in (SETTINGS, wanted)
    }
    assert sizes.pop(("validation", True)) == 2
    assert set(sizes.values()) == {1}


def test_control_tokens_are_dropped(chat: ChatFormat) -> None:
    forged = Response("x<|end|>", correct=True)
    base = group("a", 1, 1)
    mixed = PromptGroup("a", "test", "c", base.prompt, (*base.responses, forged))
    (kept,), counts = select_set("train", [mixed], chat, SETTINGS)
    assert forged not in kept.responses
    assert counts["dropped"]["responses with a control token"] == 1


def test_the_token_budget_holds_and_the_draw_is_seeded(chat: ChatFormat) -> None:
    groups = [group(f"g{k}", 1, 1) for k in range(10)]
    settings = SETTINGS.model_copy(update={"token_budget": {"train": 200}})
    kept, counts = select_set("train", groups, chat, settings)
    assert 0 < counts["tokens"] <= 200
    assert counts["dropped"]["prompts over the token budget"] == 10 - len(kept)
    again, _ = select_set("train", groups, chat, settings)
    assert kept == again
    other = settings.model_copy(update={"seed": 1})
    assert select_set("train", groups, chat, other)[0] != kept


def test_scored_groups_are_kept_whole(chat: ChatFormat) -> None:
    scored = PromptGroup(
        "a", "test", "c", "p", tuple(Response(f"t{k}", score=float(k)) for k in range(5))
    )
    (kept,), _ = select_set("train", [scored], chat, SETTINGS)
    assert kept == scored


def test_scores_beside_right_and_wrong_responses_stay(chat: ChatFormat) -> None:
    both = group("a", 5, 1)
    scored = tuple(Response(f"s{k}", score=float(k)) for k in range(2))
    mixed = PromptGroup("a", "test", "c", both.prompt, (*both.responses, *scored))
    (kept,), counts = select_set("train", [mixed], chat, SETTINGS)
    assert labels(kept) == {True: 2, False: 1, None: 2}
    assert counts["dropped"] == {"responses above the number per prompt": 3}


def test_groups_that_only_scores_order_are_kept_and_those_without_order_counted(
    chat: ChatFormat,
) -> None:
    right, low, high = Response("r", True), Response("l", score=1.0), Response("h", score=2.0)
    ordered = PromptGroup("a", "test", "c", "p", (right, low, high))
    none = PromptGroup("b", "test", "c", "q", (right, low))
    kept, counts = select_set("train", [ordered, none], chat, SETTINGS)
    assert kept == [ordered]
    assert counts["dropped"] == {"prompts whose responses have no common kind of label": 1}


def test_an_empty_set_says_why(chat: ChatFormat) -> None:
    with pytest.raises(UserError, match=r"'train' is empty after selection \(.*over 60 tokens"):
        select_set("train", [group("a", 1, 1, length=90)], chat, SETTINGS)


def test_couples_of_one_author_come_first() -> None:
    authors = ["strong", "strong", "strong", "weak", "strong", "weak", "weak"]
    responses = tuple(Response(f"t{k}", model=m) for k, m in enumerate(authors))
    right, wrong = [0, 1, 2, 3], [4, 5, 6]
    for seed in range(20):
        chosen = draw_matched(responses, right, wrong, SETTINGS, random.Random(seed))
        picked_right = Counter(authors[k] for k in chosen if k in right)
        picked_wrong = Counter(authors[k] for k in chosen if k in wrong)
        assert picked_right == picked_wrong == {"strong": 1, "weak": 1}


def test_a_pair_is_kept_or_dropped_whole(chat: ChatFormat) -> None:
    """One response of the second pair is over the cut-off."""
    texts = [("a", 1.0, 0), ("b", 0.0, 0), ("c", 1.0, 1), ("d" * 100, 0.0, 1)]
    responses = tuple(Response(text, score=score, pair=pair) for text, score, pair in texts)
    (kept,), counts = select_set(
        "train", [PromptGroup("g", "test", "c", "prompt", responses)], chat, SETTINGS
    )
    assert [response.text for response in kept.responses] == ["a", "b"]
    assert counts["dropped"] == {
        "responses over 60 tokens": 1,
        "responses whose pair has lost the other one": 1,
    }
