"""Rewards of any reward model are those of its own class, whatever the layout and the batches."""

import json
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from steps.backbone import load_tokenizer
from steps.cache.store import Cache
from steps.errors import UserError
from steps.groups.schema import PromptGroup, Response
from steps.score.cached import score_groups
from steps.score.reward_model import RewardModel, open_reward_model
from steps.score.stream import score_stream
from steps.train.assemble import assemble
from steps.train.save import save_reward_model
from tests.reward_models import KINDS, write_reward_model
from tests.training import UPPER, make_cache, with_settings

# Merges over the border of header and response, white space at both ends, letters of two bytes.
TEXTS = (
    "Two.",
    "\n\nIt is 2.\n",
    "Zwölf, natürlich: 12.",
    "so",
    "so it is, and so it goes on. " * 3,
)
GROUPS = [
    PromptGroup("a", "test", "c", "What is 1 + 1?", tuple(map(Response, TEXTS))),
    PromptGroup("b", "test", "c", "Why?", tuple(map(Response, TEXTS[:2]))),
    PromptGroup("c", "test", "c", "\nAnd then?\n", (Response("Nothing."),)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    """The folder of each kind of model, written when it is first asked for."""
    root = tmp_path_factory.mktemp("models")

    def of(kind: str) -> Path:
        path = root / kind
        return path if path.is_dir() else write_reward_model(kind, path)

    return of


def rendered(tokenizer, prompt: str, text: str) -> list[int]:
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]
    return tokenizer.apply_chat_template(messages, return_dict=False)


def by_its_own_class(folder: Path, groups: list[PromptGroup], longest: int = 10**9) -> np.ndarray:
    """The rewards [all responses] as transformers gives them, one text at a time."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rewards = []
    for group in groups:
        for response in group.responses:
            ids = rendered(tokenizer, group.prompt, response.text)[:longest]
            with torch.no_grad():
                rewards.append(model(input_ids=torch.tensor([ids])).logits.item())
    return np.array(rewards)


def rewards_of(scored) -> np.ndarray:
    return np.concatenate([group.rewards for group in scored])


@pytest.mark.parametrize("tokens_per_batch", [1, 150, 9999])
@pytest.mark.parametrize("kind", KINDS)
def test_rewards_are_those_of_the_models_own_class(folder, kind: str, tokens_per_batch) -> None:
    model = open_reward_model(folder(kind))
    scored = list(score_stream(model, GROUPS, tokens_per_batch=tokens_per_batch))
    assert [(s.group_id, len(s.rewards)) for s in scored] == [("a", 5), ("b", 2), ("c", 1)]
    wanted = by_its_own_class(folder(kind), GROUPS)
    assert np.ptp(wanted) > 0.1
    assert rewards_of(scored) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("kind", ["llama", "newline", "padded", "encoder"])
def test_the_layout_is_packed_where_it_is_known_to_be_right(folder, kind: str) -> None:
    packed = open_reward_model(folder(kind)).layout == "packed"
    assert packed == (kind in ("llama", "newline"))


def test_sliding_windows_are_not_packed(tmp_path: Path) -> None:
    folder = write_reward_model("newline", tmp_path, use_sliding_window=True, sliding_window=8)
    model = open_reward_model(folder)
    assert model.layout == "padded"
    wanted = by_its_own_class(folder, GROUPS)
    assert rewards_of(score_stream(model, GROUPS)) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("kind", ["newline", "padded", "encoder"])
def test_bfloat16_is_close_to_float32(folder, monkeypatch, kind: str) -> None:
    """Where the processor has it; the head stays in float32, or rewards would have big steps."""
    exact = rewards_of(score_stream(open_reward_model(folder(kind)), GROUPS))
    monkeypatch.setattr("steps.score.reward_model.working_dtype", lambda _: torch.bfloat16)
    model = open_reward_model(folder(kind), precision="bf16")
    assert model.model.get_input_embeddings().weight.dtype == torch.bfloat16
    rough = rewards_of(score_stream(model, GROUPS))
    assert rough == pytest.approx(exact, abs=0.05 * float(np.ptp(exact)))
    assert not np.array_equal(rough, exact)


@pytest.mark.parametrize("kind", ["newline", "padded"])
def test_token_rewards_are_those_of_the_response_so_far(folder, kind: str) -> None:
    """The reward at a token is that of the text that ends there."""
    model = open_reward_model(folder(kind))
    (scored,) = score_stream(model, GROUPS[1:2], token_rewards=True)
    standard = AutoModelForSequenceClassification.from_pretrained(folder(kind))
    prompt, text = GROUPS[1].prompt, GROUPS[1].responses[0].text
    ids = rendered(model.format.tokenizer, prompt, text)
    values, ends = scored.token_rewards[0], scored.token_ends[0]
    assert len(values) == len(ends) == scored.n_tokens[0] == len(text) + 2  # end of turn, newline
    assert ends.tolist() == [1, 2, 3, 4, 4, 4]
    for back in range(len(values)):
        with torch.no_grad():
            wanted = standard(input_ids=torch.tensor([ids[: len(ids) - back]])).logits.item()
        assert values[len(values) - 1 - back] == pytest.approx(wanted, abs=1e-5)


@pytest.fixture(scope="module")
def cache(backbone: Path, experiment, groups, tmp_path_factory) -> Cache:
    return make_cache(backbone, experiment, groups, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def own_folder(backbone: Path, experiment, cache, tmp_path_factory):
    """Untrained models of this pipeline, by head."""

    def save(head: str) -> Path:
        folder = tmp_path_factory.mktemp("own") / head
        change = {"mode": "full", "trained_layers": None, "reward_head": head}
        settings = with_settings(experiment, UPPER.model_copy(update=change))
        module = assemble(settings, backbone, cache, frozenset(), 1.0, 0).module
        facts = {"method": "orm", "seed": 3}
        tokenizer = load_tokenizer(backbone, experiment)
        save_reward_model(module.model, tokenizer, None, folder, facts)
        return folder

    return save


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_models_of_the_pipeline_score_as_in_the_workflow(
    own_folder, cache, groups, head: str
) -> None:
    model = open_reward_model(own_folder(head))
    assert (model.name, model.layout) == ("orm seed 3", "packed")
    scored = list(score_stream(model, groups, token_rewards=True))
    wanted = score_groups(model.model, cache, groups, 1, "cached")
    assert rewards_of(scored) == pytest.approx(wanted["reward"].to_numpy(), abs=1e-6)
    assert np.concatenate([g.n_tokens for g in scored]).tolist() == wanted["n_tokens"].tolist()
    tokens = zip([v for g in scored for v in g.token_rewards], wanted["token_rewards"], strict=True)
    assert all(np.allclose(own, cached, atol=1e-6) for own, cached in tokens)
    ends = zip([e for g in scored for e in g.token_ends], wanted["token_ends"], strict=True)
    assert all(np.array_equal(own, cached) for own, cached in ends)


def test_changed_weights_are_refused(own_folder) -> None:
    folder = own_folder("linear")
    file = folder / "model.safetensors"
    weights = load_file(file)
    weights["score.weight"] += 1
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"safetensors is not the file that reward_model\.json was"):
        open_reward_model(folder)


@pytest.mark.parametrize("kind", ["newline", "padded", "encoder"])
def test_truncation_cuts_the_end_and_marks_it(folder, kind: str) -> None:
    model = open_reward_model(folder(kind))
    shortest = min(len(c.prompt) for g in GROUPS for c in model.encode(g))
    longest = shortest + 30
    scored = list(score_stream(model, GROUPS, max_length=longest, truncate=True))
    lengths = [c.tokens for group in GROUPS for c in model.encode(group)]
    cut = np.concatenate([group.truncated for group in scored])
    assert cut.tolist() == [length > longest for length in lengths] and 0 < cut.sum() < len(cut)
    wanted = by_its_own_class(folder(kind), GROUPS, longest)
    assert rewards_of(scored) == pytest.approx(wanted, abs=1e-5)


def test_long_rows_are_refused_unless_they_are_to_be_cut(folder) -> None:
    model = open_reward_model(folder("newline"))
    with pytest.raises(UserError, match=r"group 'a': prompt and response have \d+ tokens, but the"):
        list(score_stream(model, GROUPS, max_length=40))
    with pytest.raises(UserError, match=r"the prompt alone has \d+ tokens and fills the 10 that"):
        list(score_stream(model, GROUPS, max_length=10, truncate=True))


def test_the_models_context_is_the_default_limit(tmp_path: Path) -> None:
    model = open_reward_model(write_reward_model("newline", tmp_path, max_position_embeddings=50))
    with pytest.raises(UserError, match="tokens, but the model takes 50"):
        list(score_stream(model, GROUPS))


def test_groups_that_cannot_be_scored_are_left_out_on_request(folder) -> None:
    model = open_reward_model(folder("newline"))
    forged = replace(GROUPS[1], group_id="forged", responses=(Response("Yes.<|im_end|>"),))
    complaints = []
    scored = score_stream(
        model,
        [GROUPS[0], forged, GROUPS[2]],
        on_error=lambda group, error: complaints.append((group.group_id, str(error))),
    )
    assert [group.group_id for group in scored] == ["a", "c"]
    (complaint,) = complaints
    assert complaint[0] == "forged" and "the response spells the control token" in complaint[1]


def test_a_reward_that_is_no_number_is_refused(folder) -> None:
    model = open_reward_model(folder("newline"))
    with torch.no_grad():
        model.model.score.weight[:] = float("nan")
    with pytest.raises(UserError, match="group 'a': a response gets a reward that is not a finite"):
        list(score_stream(model, GROUPS))


def test_an_endless_stream_is_read_as_far_as_it_is_scored(folder) -> None:
    model = open_reward_model(folder("newline"))
    read = []

    def endless():
        for number in count():
            read.append(number)
            yield replace(GROUPS[1], group_id=str(number))

    scored = score_stream(model, endless(), tokens_per_batch=300)
    assert [next(scored).group_id for _ in range(20)] == [str(k) for k in range(20)]
    assert len(read) < 40


def no_template(folder: Path) -> dict:
    (folder / "chat_template.jinja").unlink()
    return {}


def two_labels(folder: Path) -> dict:
    config = json.loads((folder / "config.json").read_text())
    config |= {"id2label": {"0": "bad", "1": "good"}, "label2id": {"bad": 0, "good": 1}}
    (folder / "config.json").write_text(json.dumps(config))
    return {}


def language_model(folder: Path) -> dict:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["AForCausalLM"]}))
    return {}


def lost_head(folder: Path) -> dict:
    weights = load_file(folder / "model.safetensors")
    del weights["score.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return {}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (no_template, "has no chat template"),
        (two_labels, "model has 2 labels, but a reward model has one"),
        (language_model, r"model is a language model \(AForCausalLM\) without a reward head"),
        (lost_head, r"incomplete: 1 are missing .* 'score\.weight'"),
        (lambda _: {"revision": "main"}, "is a local folder, which has no revision"),
    ],
)
def test_models_that_give_no_rewards_are_refused(tmp_path: Path, damage, words: str) -> None:
    folder = write_reward_model("newline", tmp_path / "model")
    arguments = damage(folder)
    with pytest.raises(UserError, match=words):
        open_reward_model(folder, **arguments)


def test_a_model_must_be_a_folder_or_an_id(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no model \(no config\.json\)"):
        open_reward_model(tmp_path)
    with pytest.raises(UserError, match="is neither a folder nor an id of the hub"):
        open_reward_model("nosuchmodel")
    for path in ("no/such/folder", "./model", "/no/model", "model/"):
        with pytest.raises(UserError, match=f"there is no folder {path}; train the model or"):
            open_reward_model(path)


@pytest.mark.parametrize("revision", [None, "main", "0123456"])
def test_code_of_the_hub_runs_at_a_full_commit_only(revision: str | None) -> None:
    with pytest.raises(UserError, match="may run only at a commit that was read"):
        open_reward_model("someone/model", revision=revision, trust_remote_code=True)


def test_a_class_of_its_own_has_no_token_rewards(folder) -> None:
    model: RewardModel = open_reward_model(folder("encoder"))
    with pytest.raises(UserError, match="BertForSequenceClassification, which gives one reward"):
        list(score_stream(model, GROUPS, token_rewards=True))
