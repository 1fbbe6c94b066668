"""The cache: equal to a live computation, resumable, and aware of what it was made from."""

import argparse
import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers

from steps.backbone import load_generator, load_tokenizer
from steps.cache import __main__ as command
from steps.cache import build as build_module
from steps.cache import encode as encode_module
from steps.cache.build import build_cache, plan_batches
from steps.cache.compute import Models, compute_batch
from steps.cache.encode import encode_groups
from steps.cache.journal import Journal
from steps.cache.key import cache_key
from steps.cache.shared import reuse, shared_folder
from steps.cache.store import Cache
from steps.cache.verify import GPU_TOLERANCE, _typical, verify_cache
from steps.chat import ChatFormat
from steps.download.tiny import make_tiny
from steps.errors import UserError
from steps.files import link_folder, remove
from steps.groups.schema import write_groups
from steps.lock import only_writer
from steps.packing import ATTENTION
from steps.stop import STOPPED
from tests.conftest import ROOT
from tests.stopping import after_a_request


@pytest.fixture(scope="module")
def parts(backbone: Path, experiment, groups):
    chat = ChatFormat(load_tokenizer(backbone, experiment))
    models = Models(load_generator(backbone, experiment))
    key = cache_key(experiment, backbone, chat, layer=1)
    return models, encode_groups(groups, chat), key


@pytest.fixture
def cache(parts, tmp_path: Path) -> Cache:
    models, encoded, key = parts
    build_cache(models, encoded, key, 150, tmp_path / "work", tmp_path / "cache")
    return Cache(tmp_path / "cache")


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def stop_after(batches: int) -> Callable:
    """Return a `compute_batch` that is interrupted after so many batches."""
    remaining = iter(range(batches))

    def interrupted(*arguments):
        if next(remaining, None) is None:
            raise KeyboardInterrupt
        return compute_batch(*arguments)

    return interrupted


def test_groups_are_encoded_as_each_response_alone(
    backbone: Path, experiment, groups, monkeypatch
) -> None:
    """In calls of two groups and one, into arrays that hold nothing else."""
    monkeypatch.setattr(encode_module, "GROUPS_AT_ONCE", 2)
    chat = ChatFormat(load_tokenizer(backbone, experiment))
    encoded = encode_groups(groups, chat)
    assert sum(len(group.ids) for group in encoded) == len(encoded.ids) == encoded.starts[-1]
    for group, found in zip(groups, encoded, strict=True):
        assert found.ids[slice(*found.span.prompt)].tolist() == chat.encode_prompt(group.prompt)
        for response, place in zip(group.responses, found.span.responses, strict=True):
            alone = chat.encode_response(group.prompt, response.text)
            assert found.ids[slice(*place)].tolist() == alone.ids
            assert found.ends[slice(*place)].tolist() == alone.ends


def test_log_probs_equal_a_plain_forward_pass(cache: Cache, parts) -> None:
    models, encoded, _ = parts
    model = models.generator
    model.set_attn_implementation("eager")
    try:
        for group in encoded:
            cached = cache.groups[group.group.group_id]
            prompt = group.ids[slice(*group.span.prompt)]
            for number, place in enumerate(group.span.responses):
                response = group.ids[slice(*place)]
                row = torch.from_numpy(np.concatenate([prompt, response])).long()
                logits = model(input_ids=row[None], use_cache=False).logits[0]
                logp = torch.log_softmax(logits, 1)[len(prompt) - 1 : -1]
                live = logp.gather(1, row[len(prompt) :, None])[:, 0]
                start, end = cached.span.responses[number]
                assert np.allclose(cache.log_probs[start:end], live, atol=1e-5)
                assert np.array_equal(cache.tokens[start:end], response)
    finally:
        model.set_attn_implementation(ATTENTION)


def test_verify_accepts_the_cache_and_notices_a_flipped_byte(cache: Cache, parts) -> None:
    models, encoded, key = parts
    assert max(verify_cache(cache, models, encoded, key, 3).values()) <= 1e-5
    path = cache.folder / "log_probs.bin"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(UserError, match="changed since it was written"):
        verify_cache(Cache(cache.folder), models, encoded, key, 3)


@pytest.mark.parametrize("batches", [0, 1, 2])
@pytest.mark.parametrize("torn", [False, True])
def test_an_interrupted_run_continues_with_the_same_bytes(
    cache: Cache, parts, tmp_path: Path, monkeypatch, batches: int, torn: bool
) -> None:
    models, encoded, key = parts
    assert len(plan_batches(encoded, 150)) == 3
    work, output = tmp_path / "work2", tmp_path / "cache2"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(build_module, "compute_batch", stop_after(batches))
        build_cache(models, encoded, key, 150, work, output)
    assert not output.exists()
    if torn:  # a kill in the middle of a write
        for name in ("cache/hidden.bin", "journal.jsonl"):
            with (work / name).open("ab") as stream:
                stream.write(b"{torn")
    assert build_cache(models, encoded, key, 150, work, output) == batches
    assert contents(output) == contents(cache.folder)


@pytest.mark.parametrize("damaged", [0, 1])
def test_batches_that_changed_on_disk_are_computed_again(
    cache: Cache, parts, tmp_path: Path, monkeypatch, damaged: int
) -> None:
    """Two of three batches are there; a byte of one of them is no longer what was written."""
    models, encoded, key = parts
    work, output = tmp_path / "work2", tmp_path / "cache2"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(build_module, "compute_batch", stop_after(2))
        build_cache(models, encoded, key, 150, work, output)
    path = work / "cache/log_probs.bin"
    content = bytearray(path.read_bytes())
    content[-1 if damaged else 0] ^= 0xFF
    path.write_bytes(content)
    assert build_cache(models, encoded, key, 150, work, output) == damaged
    assert contents(output) == contents(cache.folder)


def test_a_journal_without_hashes_is_not_believed(
    cache: Cache, parts, tmp_path: Path, monkeypatch
) -> None:
    models, encoded, key = parts
    work, output = tmp_path / "work2", tmp_path / "cache2"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(build_module, "compute_batch", stop_after(1))
        build_cache(models, encoded, key, 150, work, output)
    sizes = {path.name: path.stat().st_size for path in work.glob("cache/*.bin")}
    (work / "journal.jsonl").write_text(json.dumps(sizes) + "\n")
    assert build_cache(models, encoded, key, 150, work, output) == 0
    assert contents(output) == contents(cache.folder)


def test_a_kill_while_the_journal_is_rewritten_loses_no_batch(
    cache: Cache, parts, tmp_path: Path, monkeypatch
) -> None:
    models, encoded, key = parts
    work, output = tmp_path / "work2", tmp_path / "cache2"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(build_module, "compute_batch", stop_after(2))
        build_cache(models, encoded, key, 150, work, output)

    def half(path: Path, text: str, **_) -> None:
        path.write_bytes(text[: len(text) // 2].encode())
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "write_text", half)
        Journal(work)
    assert build_cache(models, encoded, key, 150, work, output) == 2


@pytest.mark.parametrize("before", ["write_json", "replace_folder"])
def test_a_kill_before_the_finished_folder_is_in_place_loses_no_batch(
    before: str, cache: Cache, parts, tmp_path: Path, monkeypatch
) -> None:
    models, encoded, key = parts
    work, output = tmp_path / "work2", tmp_path / "cache2"
    real = getattr(build_module, before)

    def kill(first: Path, *rest) -> None:
        if first.parent == work / "cache" or before == "replace_folder":
            raise KeyboardInterrupt
        real(first, *rest)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(build_module, before, kill)
        build_cache(models, encoded, key, 150, work, output)
    assert not output.exists()
    (work / "cache/.meta.json.1@node17.part").touch()  # of a machine that is gone
    monkeypatch.setattr(build_module, "compute_batch", never)
    assert build_cache(models, encoded, key, 150, work, output) == 3
    assert contents(output) == contents(cache.folder)
    assert not work.exists()


def test_a_second_writer_is_refused(parts, tmp_path: Path) -> None:
    models, encoded, key = parts
    with (
        only_writer(tmp_path / "work"),
        pytest.raises(UserError, match=r"is writing .*work \(perhaps"),
    ):
        build_cache(models, encoded, key, 150, tmp_path / "work", tmp_path / "cache")


def test_values_that_are_not_finite_do_not_pass(cache: Cache, parts) -> None:
    models, encoded, key = parts
    replace_array(cache, np.full(cache.meta["tokens"], np.nan, np.float32))
    with pytest.raises(UserError, match="differ by inf"):
        verify_cache(Cache(cache.folder), models, encoded, key, 3)


def replace_array(cache: Cache, log_probs: np.ndarray) -> None:
    """Put other log-probabilities into a cache, with a hash that fits."""
    content = log_probs.astype(np.float32).tobytes()
    (cache.folder / "log_probs.bin").write_bytes(content)
    meta = json.loads((cache.folder / "meta.json").read_text())
    meta["files"]["log_probs.bin"]["sha256"] = hashlib.sha256(content).hexdigest()
    (cache.folder / "meta.json").write_text(json.dumps(meta))


def test_on_a_gpu_rounding_passes_and_other_values_do_not(cache: Cache, parts, monkeypatch) -> None:
    """In bfloat16 a batch and a group alone differ in the third digit, and at a nucleus' edge."""
    models, encoded, key = parts
    gpu = SimpleNamespace(type="cuda")
    monkeypatch.setattr("steps.cache.verify.best_device", lambda: gpu)
    values = np.array(cache.array("log_probs.bin"))
    rounded = torch.from_numpy(values).bfloat16().float().numpy()
    rounded[np.flatnonzero(np.isfinite(rounded))[5]] = -np.inf
    replace_array(cache, rounded)
    assert 0 < verify_cache(Cache(cache.folder), models, encoded, key, 3)["log_probs.bin"] < 0.01
    shuffled = values.copy()
    known = np.flatnonzero(~np.isnan(values))
    shuffled[known] = 2 * values[known]
    for wrong in (np.roll(values, 1), shuffled, np.where(np.isnan(values), values, -np.inf)):
        replace_array(cache, wrong)
        with pytest.raises(UserError, match="cached and recomputed values differ"):
            verify_cache(Cache(cache.folder), models, encoded, key, 3)


def test_on_a_gpu_hidden_states_count_token_by_token() -> None:
    """Else those of a first token that outweighs all others would hide whatever the rest is."""
    live = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    live[0] *= 1e4
    rounded = live.bfloat16().float().numpy()
    assert 0 < _typical(rounded, live.numpy()) < 0.01
    moved = live.clone()
    moved[1:] = live[1:].roll(1, 0)
    assert _typical(moved.numpy(), live.numpy()) > GPU_TOLERANCE


def test_a_truncated_file_is_named(cache: Cache) -> None:
    path = cache.folder / "hidden.bin"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"hidden\.bin is truncated or damaged"):
        Cache(cache.folder)


def test_other_texts_are_refused(cache: Cache, groups) -> None:
    cache.check_texts(groups)
    first = groups[0]
    changed = replace(first.responses[1], text="another answer")
    other = replace(first, responses=(first.responses[0], changed, *first.responses[2:]))
    with pytest.raises(UserError, match="response 1 of group 'g0'"):
        cache.check_texts([other, *groups[1:]])


def test_a_cache_of_other_settings_is_refused_by_verify(cache: Cache, parts) -> None:
    models, encoded, key = parts
    with pytest.raises(UserError, match="temperature"):
        verify_cache(cache, models, encoded, replace(key, temperature=0.7), 1)


def test_the_key_changes_with_everything_that_matters(
    backbone: Path, experiment, parts, tmp_path: Path, monkeypatch
) -> None:
    _, _, key = parts

    def digest(model: Path = backbone, layer: int = 1, **sections) -> str:
        changed = experiment.model_copy(update=sections)
        chat = ChatFormat(load_tokenizer(model, changed))
        return cache_key(changed, model, chat, layer).digest()

    def other(name: str) -> Path:
        return shutil.copytree(backbone, tmp_path / name)

    architecture = other("architecture")
    settings = json.loads((architecture / "config.json").read_text())
    (architecture / "config.json").write_text(json.dumps(settings | {"rms_norm_eps": 1e-3}))
    weights = tmp_path / "weights"
    make_tiny(experiment.backbone.model_copy(update={"seed": 5}), weights)
    template, tokens = other("template"), other("tokens")
    tokenizer = load_tokenizer(backbone, experiment)
    tokenizer.add_tokens("sum")
    tokenizer.save_pretrained(tokens)
    tokenizer = load_tokenizer(backbone, experiment)
    tokenizer.chat_template = tokenizer.chat_template.replace("['content']", "['content'] | trim")
    tokenizer.save_pretrained(template)
    generator = experiment.generator
    found = [
        *(digest(model) for model in (architecture, weights, template, tokens)),
        digest(layer=2),
        *(
            digest(generator=generator.model_copy(update=change))
            for change in ({"temperature": 0.7}, {"top_p": 0.9}, {"entropy": False})
        ),
        digest(threads=2),
    ]
    for library in (torch, transformers):
        with monkeypatch.context() as patch:
            patch.setattr(library, "__version__", "0")
            found.append(digest())
    with monkeypatch.context() as patch:
        patch.setattr("steps.cache.key.is_faster", lambda: not key.onednn)
        found.append(digest())
    assert digest() == key.digest()
    assert len({key.digest(), *found}) == 1 + len(found)


def test_hidden_states_and_entropies_are_optional(parts, tmp_path: Path) -> None:
    models, encoded, key = parts
    bare = replace(key, layer=None, hidden_weights=None, entropy=False)
    build_cache(models, encoded, bare, 150, tmp_path / "work", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("hidden.bin")) + list(
        (tmp_path / "cache").glob("entropies.bin")
    )
    cache = Cache(tmp_path / "cache")
    assert set(verify_cache(cache, models, encoded, bare, 3)) == {"log_probs.bin"}


def test_another_generator_gives_its_probabilities_and_the_backbones_states(
    cache: Cache, parts, backbone, experiment, groups, tmp_path: Path
) -> None:
    models, encoded, key = parts
    make_tiny(experiment.backbone.model_copy(update={"seed": 5}), tmp_path / "other")
    generator = load_generator(tmp_path / "other", experiment)
    chat = ChatFormat(load_tokenizer(backbone, experiment))
    mixed_key = cache_key(experiment, backbone, chat, 1, tmp_path / "other")
    assert mixed_key.weights != key.weights
    assert mixed_key.hidden_weights == key.hidden_weights
    mixed = Models(generator, models.generator)
    build_cache(mixed, encoded, mixed_key, 150, tmp_path / "work", tmp_path / "cache2")
    both = Cache(tmp_path / "cache2")
    assert np.array_equal(both.hidden, cache.hidden)
    assert not np.allclose(both.log_probs, cache.log_probs, equal_nan=True)


def test_a_finished_cache_is_shared_by_content(cache: Cache, parts, tmp_path: Path) -> None:
    _, encoded, key = parts
    shared = shared_folder(tmp_path / "shared", encoded, key, 150)
    assert not reuse(shared, tmp_path / "again")
    link_folder(cache.folder, shared)
    assert reuse(shared, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(cache.folder)
    assert (tmp_path / "again/hidden.bin").samefile(cache.folder / "hidden.bin")
    for other in (
        shared_folder(tmp_path / "shared", encoded[:2], key, 150),
        shared_folder(tmp_path / "shared", encoded, replace(key, top_p=0.9), 150),
        shared_folder(tmp_path / "shared", encoded, key, 151),
    ):
        assert not reuse(other, tmp_path / "third")


def test_a_request_before_the_first_batch_is_honoured_after_it(
    parts, backbone: Path, groups, tmp_path: Path, monkeypatch
) -> None:
    """It comes while inputs are read and models loaded, which may take minutes."""
    write_groups(tmp_path / "groups.parquet", groups)
    given = {
        "--experiment": ROOT / "config/tiny.yaml",
        "--backbone": backbone,
        "--groups": tmp_path / "groups.parquet",
        "--output": tmp_path / "cache",
    }
    flat = [str(part) for pair in given.items() for part in pair]
    monkeypatch.setattr(sys, "argv", ["cache", "build", *flat])
    batches = plan_batches(parts[1], 150)
    monkeypatch.setattr(build_module, "plan_batches", lambda *_: batches)
    monkeypatch.setattr(command, "load_tokenizer", after_a_request(load_tokenizer))
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == STOPPED
    assert Journal(tmp_path / "cache.work").batches == 1


def never(*_) -> None:
    raise AssertionError


def killed(*_) -> None:
    raise KeyboardInterrupt


def fail(*_) -> None:
    raise UserError("deviates")


def test_a_kill_during_verification_loses_no_cache(
    parts, experiment, tmp_path: Path, monkeypatch
) -> None:
    arguments = argparse.Namespace(output=tmp_path / "cache", shared=tmp_path / "s", work=None)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(command, "verify_cache", killed)
        command._build(arguments, *parts, experiment.cache)
    remove(arguments.output)  # by Snakemake: its job did not end
    monkeypatch.setattr(command, "build_cache", never)
    command._build(arguments, *parts, experiment.cache)
    assert arguments.output.is_dir()


def test_a_kill_before_a_shared_cache_is_in_place_loses_no_cache(
    parts, experiment, tmp_path: Path, monkeypatch
) -> None:
    work = tmp_path / "work"
    arguments = argparse.Namespace(output=tmp_path / "cache", shared=tmp_path / "s", work=work)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(build_module, "replace_folder", killed)
        command._build(arguments, *parts, experiment.cache)
    monkeypatch.setattr(command, "build_cache", never)
    command._build(arguments, *parts, experiment.cache)
    assert arguments.output.is_dir() and not work.exists()


def test_a_cache_that_fails_its_verification_is_neither_left_nor_shared(
    parts, experiment, tmp_path: Path, monkeypatch
) -> None:
    arguments = argparse.Namespace(output=tmp_path / "cache", shared=tmp_path / "s", work=None)
    monkeypatch.setattr(command, "verify_cache", fail)
    with pytest.raises(UserError, match="deviates"):
        command._build(arguments, *parts, experiment.cache)
    assert not arguments.output.exists() and not list(arguments.shared.iterdir())


def test_a_shared_cache_that_may_not_be_read_is_forgotten(
    cache: Cache, parts, tmp_path: Path, monkeypatch
) -> None:
    """Its files are those of a cache that was deleted for that very reason."""
    _, encoded, key = parts
    shared = shared_folder(tmp_path / "shared", encoded, key, 150)
    link_folder(cache.folder, shared)

    def refuse(_) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "hidden.bin")

    monkeypatch.setattr(Cache, "check_hashes", refuse)  # root may read everything
    assert not reuse(shared, tmp_path / "again")
    assert not shared.exists() and not (tmp_path / "again").exists()
    assert (cache.folder / "hidden.bin").is_file()


def test_a_damaged_shared_cache_is_forgotten(cache: Cache, parts, tmp_path: Path) -> None:
    _, encoded, key = parts
    shared = shared_folder(tmp_path / "shared", encoded, key, 150)
    shutil.copytree(cache.folder, shared)
    path = shared / "tokens.bin"
    path.write_bytes(path.read_bytes()[:-4] + b"abcd")
    assert not reuse(shared, tmp_path / "again")
    assert not shared.exists()
    assert not (tmp_path / "again").exists()
