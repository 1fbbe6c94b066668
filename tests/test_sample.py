"""Sampling: the same samples whatever the batch plan, after a kill too, and within their limits."""

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy import stats
from transformers import AutoModelForCausalLM

from steps.backbone import load_tokenizer
from steps.chat import ChatFormat
from steps.config import Experiment
from steps.config.sampling import Sampling, SolutionSampling
from steps.errors import UserError
from steps.groups.files import iterate_file
from steps.groups.schema import PromptGroup, read_groups, write_groups
from steps.lock import only_writer
from steps.sample import __main__ as command
from steps.sample import transformers_backend as backend_module
from steps.sample.backend import Completion, Request, plan_batches
from steps.sample.draw import draw_tokens, sample_key
from steps.sample.requests import make_requests
from steps.sample.responses import is_correct, sampled_groups
from steps.sample.transformers_backend import TransformersBackend
from steps.sample.written import Tokens, read_written, write_samples
from steps.stop import STOPPED
from tests.conftest import ROOT
from tests.stopping import after_a_request

SAMPLING = Sampling(samples=8, max_new_tokens=24, tokens_per_batch=1_000_000)


@pytest.fixture(scope="module")
def chat(backbone: Path, experiment: Experiment) -> ChatFormat:
    return ChatFormat(load_tokenizer(backbone, experiment))


def complete(
    backbone: Path,
    experiment: Experiment,
    chat: ChatFormat,
    groups: list[PromptGroup],
    sampling: Sampling,
) -> list[tuple[Request, Completion]]:
    backend = TransformersBackend(backbone, experiment, sampling, chat.control_ids)
    requests = make_requests(groups, chat, sampling, context=1024)
    batches = plan_batches(requests, sampling.max_new_tokens, sampling.tokens_per_batch)
    answered = ((batch, backend.generate(batch, never_asked)) for batch in batches)
    return sorted(
        (pair for batch, completions in answered for pair in zip(batch, completions, strict=True)),
        key=lambda pair: pair[0].number,
    )


def never_asked() -> bool:
    return False


@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_samples_do_not_depend_on_the_batch_plan(
    backbone: Path,
    experiment: Experiment,
    chat: ChatFormat,
    groups: list[PromptGroup],
    top_p: float,
) -> None:
    sampling = SAMPLING.model_copy(update={"samples": 36, "max_new_tokens": 12, "top_p": top_p})
    plans = [1_000_000, 300]  # all together, a few rows at a time
    runs = [
        complete(
            backbone,
            experiment,
            chat,
            groups,
            sampling.model_copy(update={"tokens_per_batch": plan}),
        )
        for plan in plans
    ]
    equal = [a == b for (_, a), (_, b) in zip(*runs, strict=True)]
    assert np.mean(equal) >= 0.99
    assert len({tuple(completion.ids) for _, completion in runs[0]}) > 90  # of 108


def test_a_sample_belongs_to_its_prompt_and_number(
    backbone: Path, experiment: Experiment, chat: ChatFormat, groups: list[PromptGroup]
) -> None:
    whole = complete(backbone, experiment, chat, groups, SAMPLING)
    fewer = SAMPLING.model_copy(update={"samples": 3})
    turned = complete(backbone, experiment, chat, groups[::-1], fewer)
    first = {request.key: completion for request, completion in whole}
    assert [first[request.key] for request, _ in turned] == [each for _, each in turned]


def test_another_seed_gives_other_samples(
    backbone: Path, experiment: Experiment, chat: ChatFormat, groups: list[PromptGroup]
) -> None:
    first, second = (
        complete(backbone, experiment, chat, groups, SAMPLING.model_copy(update={"seed": seed}))
        for seed in (3, 4)
    )
    assert not {request.key for request, _ in first} & {request.key for request, _ in second}
    equal = [a.ids == b.ids for (_, a), (_, b) in zip(first, second, strict=True)]
    assert np.mean(equal) < 0.2  # answers of one token may be the same


@pytest.mark.parametrize(("temperature", "top_p"), [(0.9, 1.0), (1.0, 0.8)])
def test_samples_are_drawn_with_their_temperature_and_nucleus(
    temperature: float,
    top_p: float,
    backbone: Path,
    experiment: Experiment,
    chat: ChatFormat,
    groups: list[PromptGroup],
) -> None:
    """Every token is the draw from a plain forward of what stands before it, and from no other."""
    settings = {"samples": 4, "temperature": temperature, "top_p": top_p}
    sampling = SAMPLING.model_copy(update=settings)
    model = AutoModelForCausalLM.from_pretrained(backbone)
    as_asked, as_by_default, written = [], [], []
    for request, completion in complete(backbone, experiment, chat, groups, sampling):
        with torch.no_grad():
            logits = model(torch.tensor([[*request.prompt, *completion.ids]])).logits[0]
        for position, token in enumerate(completion.ids):
            row = logits[None, len(request.prompt) - 1 + position]
            for drawn, own in ((as_asked, (temperature, top_p)), (as_by_default, (1.0, 1.0))):
                drawn.append(draw_tokens(row, [request.key], position, *own).item())
            written.append(token)
    assert np.mean(np.equal(as_asked, written)) >= 0.99  # rounding may flip a rare one
    assert np.mean(np.equal(as_by_default, written)) < 0.97


def test_greedy_answers_are_those_of_transformers(
    backbone: Path, experiment: Experiment, chat: ChatFormat, groups: list[PromptGroup]
) -> None:
    """Prompts of unequal lengths in one batch: padding, positions and cache change nothing."""
    longer = [replace(g, prompt=g.prompt * (n + 1)) for n, g in enumerate(groups)]
    sampling = SAMPLING.model_copy(update={"samples": 1, "temperature": 0.0})
    found = complete(backbone, experiment, chat, longer, sampling)
    model = AutoModelForCausalLM.from_pretrained(backbone)
    for request, completion in found:
        ids = torch.tensor([request.prompt])
        whole = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=sampling.max_new_tokens,
            eos_token_id=sorted(chat.control_ids),
        )
        assert completion.ids == whole[0, ids.shape[1] :].tolist()


def test_answers_end_at_a_control_token_or_at_the_limit(
    backbone: Path, experiment: Experiment, chat: ChatFormat, groups: list[PromptGroup]
) -> None:
    completions = [c for _, c in complete(backbone, experiment, chat, groups, SAMPLING)]
    assert {completion.finish_reason for completion in completions} == {"stop", "length"}
    for completion in completions:
        *inner, last = completion.ids
        assert not chat.control_ids & set(inner)
        if completion.finish_reason == "stop":
            assert last in chat.control_ids
        else:
            assert last not in chat.control_ids
            assert len(completion.ids) == SAMPLING.max_new_tokens
    made, counts = sampled_groups(groups, completions, chat, "tiny")
    assert counts["stop"] == sum(c.finish_reason == "stop" for c in completions)
    for before, after in zip(groups, made, strict=True):
        assert (after.group_id, after.prompt) == (before.group_id, before.prompt)
        for response in after.responses:
            assert before.prompt not in response.text
            assert not chat.spells_control(response.text)
            assert response.model == "tiny"
            assert response.n_tokens <= SAMPLING.max_new_tokens


def test_a_system_prompt_stands_before_the_prompt(
    chat: ChatFormat, groups: list[PromptGroup]
) -> None:
    settings = {"samples": 1, "max_new_tokens": 4}
    told = SolutionSampling(**settings, system="Box the answer.")
    (plain, *_), (with_system, *_) = (
        make_requests(groups, chat, sampling, context=1024)
        for sampling in (SolutionSampling(**settings), told)
    )
    assert list(plain.prompt) == chat.encode_prompt(groups[0].prompt)
    read = chat.tokenizer.decode(with_system.prompt)
    assert "Box the answer." in read and groups[0].prompt in read
    assert read.index("Box the answer.") < read.index(groups[0].prompt)
    end = chat.tokenizer.convert_ids_to_tokens(chat.end_of_turn)
    forged = SolutionSampling(**settings, system=f"Box it.{end}")
    with pytest.raises(UserError, match="the system prompt spells the control token"):
        make_requests(groups, chat, forged, context=1024)
    deaf = copy(chat.tokenizer)
    deaf.chat_template = "{% set messages = messages[-2:] | rejectattr('role', 'eq', 'system') %}"
    deaf.chat_template += chat.tokenizer.chat_template
    with pytest.raises(UserError, match="leaves the system prompt out"):
        make_requests(groups, ChatFormat(deaf), told, context=1024)


def test_an_instruction_stands_below_the_prompt(
    chat: ChatFormat, groups: list[PromptGroup]
) -> None:
    sampling = SAMPLING.model_copy(update={"instruction": "Box the answer."})
    requests = make_requests(groups, chat, sampling, context=1024)
    expected = [chat.encode_prompt(f"{group.prompt}\n\nBox the answer.") for group in groups]
    assert [list(request.prompt) for request in requests[:: sampling.samples]] == expected


def test_tokens_are_drawn_from_the_distribution() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0, -3.0]])
    keys = [sample_key(0, "prompt", k) for k in range(4_000)]
    for temperature, top_p, kept in ((1.0, 1.0, 4), (0.5, 1.0, 4), (1.0, 0.9, 2)):
        drawn = draw_tokens(logits.expand(len(keys), -1), keys, 5, temperature, top_p)
        expected = torch.softmax(logits[0].double() / temperature, 0)
        order = expected.argsort(descending=True)
        expected[order[kept:]] = 0
        counts = torch.bincount(drawn, minlength=4).numpy()
        possible = expected.numpy() > 0
        assert not counts[~possible].any()
        wanted = (expected / expected.sum()).numpy()[possible] * len(keys)
        assert stats.chisquare(counts[possible], wanted).pvalue > 0.01


def test_rounding_hardly_ever_changes_a_draw() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(300, 5_000, generator=generator)
    noise = 1e-5 * torch.randn(300, 5_000, generator=generator)
    keys = [sample_key(0, "prompt", k) for k in range(300)]
    exact, rounded = (draw_tokens(each, keys, 0, 1.0, 1.0) for each in (logits, logits + noise))
    assert (exact != rounded).sum() <= 1


def write_experiment(folder: Path, pairs: dict | None = None, **sampling) -> Path:
    content = yaml.safe_load((ROOT / "config/tiny.yaml").read_text())
    settings = {"samples": 6, "max_new_tokens": 24, "tokens_per_batch": 300} | sampling
    uses = {"pairs": settings, "policies": settings}
    content["policy"] = {"held_out": "in_distribution", "sampling": uses, "pairs": pairs or {}}
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def run_command_line(
    folder: Path,
    backbone: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: Path,
    use: str = "pairs",
):
    arguments = {
        "--experiment": folder / "experiment.yaml",
        "--use": use,
        "--model": backbone,
        "--groups": folder / "groups.parquet",
        "--output": output,
        "--name": "tiny",
        "--card": output.with_suffix(".json"),
    }
    flat = [str(part) for pair in arguments.items() for part in pair]
    monkeypatch.setattr(sys, "argv", ["sample", *flat])
    command.main()


def torn(journal: Path) -> int:
    """The kill came while a line was written; return how many batches are finished."""
    journal.write_text(journal.read_text() + '0a1b [[[1, 2], "st')
    return 2


def another_token(journal: Path) -> int:
    """A bit of the second batch flips, so that a digit becomes another one."""
    first, second, *_ = journal.read_bytes().splitlines(keepends=True)
    place = re.search(rb"\[\[\[(?=[1-9])", second).end()
    changed = second[:place] + bytes([second[place] ^ 1]) + second[place + 1 :]
    assert json.loads(changed.partition(b" ")[2]) != json.loads(second.partition(b" ")[2])
    journal.write_bytes(first + changed)
    return 1


@pytest.mark.parametrize("damage", [torn, another_token])
def test_a_killed_run_continues_to_the_same_file(
    damage: Callable[[Path], int],
    tmp_path: Path,
    backbone: Path,
    groups: list[PromptGroup],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_groups(tmp_path / "groups.parquet", groups)
    write_experiment(tmp_path)
    whole = tmp_path / "whole.parquet"
    run_command_line(tmp_path, backbone, monkeypatch, whole)

    calls = []
    generate = TransformersBackend.generate

    def killed(
        self: TransformersBackend, batch: list[Request], asked_to_stop: Callable[[], bool]
    ) -> list[Completion] | None:
        calls.append(batch)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return generate(self, batch, asked_to_stop)

    monkeypatch.setattr(TransformersBackend, "generate", killed)
    again = tmp_path / "again.parquet"
    with pytest.raises(KeyboardInterrupt):
        run_command_line(tmp_path, backbone, monkeypatch, again)
    assert not again.exists()
    journal = tmp_path / "again.parquet.work/journal.jsonl"
    finished = damage(journal)
    run_command_line(tmp_path, backbone, monkeypatch, again)
    assert calls[finished] == calls[3]  # went on at the batch that was not finished, or has changed
    assert again.read_bytes() == whole.read_bytes()
    assert not journal.parent.exists()


def test_a_run_goes_on_after_a_request(
    tmp_path: Path,
    backbone: Path,
    groups: list[PromptGroup],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked within the second batch, it draws no token more; asked while the result is written,
    nothing is sampled twice.
    """
    write_groups(tmp_path / "groups.parquet", groups)
    write_experiment(tmp_path)
    whole, stopped = tmp_path / "whole.parquet", tmp_path / "stopped.parquet"
    positions: list[int] = []

    def drawn(logits: torch.Tensor, keys: list[int], position: int, *settings) -> torch.Tensor:
        positions.append(position)
        return draw_tokens(logits, keys, position, *settings)

    def ask(logits: torch.Tensor, keys: list[int], position: int, *settings) -> torch.Tensor:
        if (position, positions.count(0)) == (3, 2):
            os.kill(os.getpid(), signal.SIGTERM)
        return drawn(logits, keys, position, *settings)

    def ask_late(path: Path, made: list[PromptGroup], tokens: Tokens) -> None:
        write_samples(path, made, tokens)
        os.kill(os.getpid(), signal.SIGUSR1)

    def stop(patch: pytest.MonkeyPatch) -> None:
        with pytest.raises(SystemExit) as end:
            run_command_line(tmp_path, backbone, patch, stopped)
        assert end.value.code == STOPPED

    monkeypatch.setattr(backend_module, "draw_tokens", drawn)
    run_command_line(tmp_path, backbone, monkeypatch, whole)
    batches = positions.count(0)
    positions.clear()
    with monkeypatch.context() as patch:
        patch.setattr(backend_module, "draw_tokens", ask)
        stop(patch)
    assert positions[-4:] == [0, 1, 2, 3] and not stopped.exists()
    work = tmp_path / "stopped.parquet.work"
    assert len((work / "journal.jsonl").read_text().splitlines()) == 1
    positions.clear()
    with monkeypatch.context() as patch:
        patch.setattr(command, "write_samples", ask_late)
        stop(patch)
    assert positions.count(0) == batches - 1
    stopped.unlink()  # as Snakemake does
    positions.clear()
    run_command_line(tmp_path, backbone, monkeypatch, stopped)
    assert not positions
    assert stopped.read_bytes() == whole.read_bytes()
    assert not work.exists()


def test_a_second_writer_is_refused(
    tmp_path: Path,
    backbone: Path,
    groups: list[PromptGroup],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_groups(tmp_path / "groups.parquet", groups)
    write_experiment(tmp_path)
    output = tmp_path / "output.parquet"
    with (
        only_writer(tmp_path / "output.parquet.work"),
        pytest.raises(UserError, match=r"is writing .*output\.parquet\.work"),
    ):
        run_command_line(tmp_path, backbone, monkeypatch, output)
    assert not output.exists()


def test_other_settings_start_anew(
    tmp_path: Path,
    backbone: Path,
    groups: list[PromptGroup],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_groups(tmp_path / "groups.parquet", groups)
    write_experiment(tmp_path, seed=1)
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    run_command_line(tmp_path, backbone, monkeypatch, first)
    write_experiment(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(command, "sampled_groups", lambda *_: (_ for _ in ()).throw(UserError("no")))
        with pytest.raises(UserError):
            run_command_line(tmp_path, backbone, patch, second)
    write_experiment(tmp_path, seed=1)
    run_command_line(tmp_path, backbone, monkeypatch, second)
    assert second.read_bytes() == first.read_bytes()
    assert read_groups(first)[0].responses[0].finish_reason in ("stop", "length")


def test_other_code_starts_anew(
    tmp_path: Path,
    backbone: Path,
    groups: list[PromptGroup],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_groups(tmp_path / "groups.parquet", groups)
    write_experiment(tmp_path)
    calls = []
    generate = TransformersBackend.generate

    def counted(
        self: TransformersBackend, batch: list[Request], asked_to_stop: Callable[[], bool]
    ) -> list[Completion] | None:
        calls.append(batch)
        return generate(self, batch, asked_to_stop)

    def failed(*_):
        raise UserError("no")

    monkeypatch.setattr(TransformersBackend, "generate", counted)
    output = tmp_path / "output.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(command, "sampled_groups", failed)
        for expected in (True, False):  # sampled once, then read from the journal
            calls.clear()
            with pytest.raises(UserError):
                run_command_line(tmp_path, backbone, patch, output)
            assert bool(calls) == expected
    monkeypatch.setattr(command, "package_hash", lambda package: "of other code")
    run_command_line(tmp_path, backbone, monkeypatch, output)
    assert calls


def test_the_version_of_vllm_is_in_the_plan(
    backbone: Path, chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "version", lambda package: f"1.2 of {package}")
    plans = [
        command._plan(backbone, chat, SAMPLING.model_copy(update={"backend": backend}), [], 1)
        for backend in ("vllm", "transformers")
    ]
    assert [plan["vllm"] for plan in plans] == ["1.2 of vllm", None]


def test_a_missing_section_is_named(
    tmp_path: Path,
    backbone: Path,
    groups: list[PromptGroup],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_groups(tmp_path / "groups.parquet", groups)
    (tmp_path / "experiment.yaml").write_text((ROOT / "config/tiny.yaml").read_text())
    with pytest.raises(UserError, match=r"lacks policy\.sampling\.pairs; give"):
        run_command_line(tmp_path, backbone, monkeypatch, tmp_path / "output.parquet")


def test_a_prompt_beyond_the_context_is_refused(
    chat: ChatFormat, groups: list[PromptGroup]
) -> None:
    with pytest.raises(UserError, match=r"prompt of group 'g0' has \d+ tokens.* lower"):
        make_requests(groups, chat, SAMPLING, context=30)


def test_a_model_that_never_stops_is_named(
    tmp_path: Path, backbone: Path, chat: ChatFormat, groups: list[PromptGroup], monkeypatch, capsys
) -> None:
    """Answers of a trained policy that were all cut are judged beside those of the others."""
    cut = [Completion([chat.vocabulary["a"]], "length")] * len(groups)
    monkeypatch.setattr(command, "complete_batches", lambda *_: cut)
    write_groups(tmp_path / "groups.parquet", groups)
    write_experiment(tmp_path)
    output = tmp_path / "output.parquet"
    none = "none of the 3 samples of 'tiny' ended within policy.sampling.{}.max_new_tokens; {}"
    with pytest.raises(UserError) as error:
        run_command_line(tmp_path, backbone, monkeypatch, output)
    assert str(error.value).startswith(f"{output}: {none.format('pairs', 'raise it')}")
    assert not output.exists()
    run_command_line(tmp_path, backbone, monkeypatch, output, use="policies")
    assert none.format("policies", "they are judged") in capsys.readouterr().err
    answered = read_groups(output)
    assert {r.finish_reason for group in answered for r in group.responses} == {"length"}


def test_empty_samples_are_left_out(chat: ChatFormat, groups: list[PromptGroup]) -> None:
    letter, end = chat.vocabulary["a"], chat.end_of_turn
    empty, full = Completion([end], "stop"), Completion([letter, end], "stop")
    made, counts = sampled_groups(groups, [empty, full, full, full, empty, empty], chat, "tiny")
    assert [len(group.responses) for group in made] == [1, 2]
    assert [response.sample for group in made for response in group.responses] == [1, 0, 1]
    assert counts["empty samples left out"] == 3
    assert counts["prompts without a response"] == 1
    with pytest.raises(UserError, match="not one of the 3 samples of 'tiny' has a text"):
        sampled_groups(groups, [empty] * 3, chat, "tiny")


def test_diverged_weights_are_named(
    tmp_path: Path, backbone: Path, experiment: Experiment, chat: ChatFormat, groups
) -> None:
    model = AutoModelForCausalLM.from_pretrained(backbone)
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    model.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"not numbers.*lower learning rate"):
        complete(tmp_path, experiment, chat, groups, SAMPLING)


def test_vllm_is_asked_for_in_one_sentence(backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)  # as if it were not installed
    from steps.sample.vllm_backend import VllmBackend

    with pytest.raises(UserError, match="package vllm, which is not installed"):
        VllmBackend(backbone, SAMPLING, frozenset())


def test_greedy_means_one_sample() -> None:
    with pytest.raises(ValueError, match="always gives the same answer"):
        Sampling(samples=2, temperature=0.0, max_new_tokens=8)


@pytest.mark.parametrize(
    ("gold", "text", "right"),
    [
        (r"\frac{1}{2}", r"So it is $\boxed{0.5}$.", True),
        (r"\frac{1}{2}", r"So it is $\boxed{2}$.", False),
        ("7", "There are 3 cases.\n\nSo, the answer is 7.", True),
        ("7", "The answer is 7. But no: the answer is 8.", False),
        ("7", "It is $\\boxed{7}$.\n\nThanks for asking.", False),
        ("98 values", r"There are \boxed{98} of them.", True),
        ("x=1, y=2", r"\boxed{x=1, y=2}", True),
        ("Yes", r"\boxed{\text{Yes}}", True),
        ("Yes", r"\boxed{No}", False),
    ],
)
def test_the_final_answer_decides(gold: str, text: str, right: bool) -> None:
    assert is_correct("How many values of n are there?", gold, text, finished=True) is right


def test_a_text_that_was_cut_needs_a_boxed_answer() -> None:
    problem = "How many values of n are there?"
    assert not is_correct(problem, "7", "So there are 7", finished=False)
    assert is_correct(problem, "7", r"It is $\boxed{7}$, since", finished=False)


def test_the_file_holds_the_tokens_that_were_drawn(
    tmp_path: Path,
    backbone: Path,
    chat: ChatFormat,
    groups: list[PromptGroup],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of each response by its number, also where a sample before it has no text."""
    end = chat.encode_response("q", "x").ids[-1]
    texts = [[f"{place} {k}" if (place + k) % 3 else "" for k in range(2)] for place in range(3)]
    drawn = [[*chat.encode_response("q", t or " ").ids[:-1], end] for own in texts for t in own]
    write_groups(tmp_path / "groups.parquet", groups)
    write_experiment(tmp_path, samples=2)
    completions = [Completion(ids, "stop") for ids in drawn]
    monkeypatch.setattr(command, "complete_batches", lambda *_: completions)
    path = tmp_path / "samples.parquet"
    run_command_line(tmp_path, backbone, monkeypatch, path)
    made = read_groups(path)
    kept = [[chat.decode_response(ids) for ids in own] for own in read_written(path, made)]
    assert kept == [[text for text in own if text] for own in texts]
    assert [len(each.responses) for each in made] == [1, 2, 1]
    notes: list[str] = []
    list(iterate_file(path, notes))  # as it is read to be scored
    assert notes == []


def test_tokens_of_other_responses_are_refused(tmp_path: Path, groups: list[PromptGroup]) -> None:
    one = replace(groups[0], responses=(replace(groups[0].responses[0], n_tokens=3),))
    path = tmp_path / "samples.parquet"
    write_samples(path, [one], [[[1, 2]]])
    with pytest.raises(UserError, match=r"samples\.parquet: group .* sample again"):
        read_written(path, [one])
    write_groups(path, [one])
    with pytest.raises(UserError, match="the column 'written' is missing"):
        read_written(path, [one])


def test_a_request_before_the_first_batch_is_honoured_in_it(
    tmp_path: Path,
    backbone: Path,
    groups: list[PromptGroup],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_groups(tmp_path / "groups.parquet", groups)
    write_experiment(tmp_path)
    monkeypatch.setattr(command, "load_tokenizer", after_a_request(load_tokenizer))
    with pytest.raises(SystemExit) as end:
        run_command_line(tmp_path, backbone, monkeypatch, tmp_path / "stopped.parquet")
    assert end.value.code == STOPPED
    assert not (tmp_path / "stopped.parquet.work/journal.jsonl").exists()
