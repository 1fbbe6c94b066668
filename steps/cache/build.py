"""Filling a cache: one forward pass of the generator over every prompt group.

Work goes on in a folder of its own that no workflow engine deletes; a journal says which batches
are safely on disk, so an interrupted run continues after the last of them with the same bytes as
an undisturbed one. The finished folder is renamed to its place.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import PreTrainedModel

from steps.backbone import run_model
from steps.cache.encode import EncodedGroup
from steps.cache.key import CacheKey, text_key
from steps.cache.store import ARRAYS, INDEX
from steps.files import (
    named_errors,
    read_json,
    refuse_foreign_files,
    remove,
    replace_folder,
    sha256,
    write_json,
)
from steps.lm_head import tempered_log_probs
from steps.lock import only_writer
from steps.packing import predictors
from steps.progress import Progress
from steps.stop import leave, stop_requests

OWN_FILES = {*ARRAYS, "index.parquet", "meta.json", "plan.json", "journal.jsonl"}


def plan_batches(groups: list[EncodedGroup], tokens_per_batch: int) -> list[list[EncodedGroup]]:
    """Cut the groups, in order, into batches of about ``tokens_per_batch`` tokens.

    A group is never split; one that is larger than the budget is a batch by itself.
    """
    batches: list[list[EncodedGroup]] = []
    room = 0
    for group in groups:
        if group.span.tokens > room:
            batches.append([])
            room = tokens_per_batch
        batches[-1].append(group)
        room -= group.span.tokens
    return batches


@dataclass(frozen=True)
class Models:
    """What computes a cache.

    Attributes:
        generator: the causal language model whose probabilities are stored.
        backbone: whose hidden states are stored; None where it is the generator itself or none
            are asked for.
    """

    generator: PreTrainedModel
    backbone: PreTrainedModel | None = None


@torch.inference_mode()
def compute_batch(
    models: Models, batch: list[EncodedGroup], key: CacheKey
) -> dict[str, np.ndarray]:
    """Return the arrays of one batch, keyed by file name, each with T rows."""
    spans, at = [], 0
    for group in batch:
        spans.append(group.span.shifted(at))
        at += group.span.tokens
    tokens = torch.tensor([i for group in batch for i in group.ids])
    generator = models.generator
    device = generator.device
    with _layer_inputs(models.backbone or generator, key.layer) as caught:
        final = run_model(generator, tokens.to(device), spans)[0]
        if models.backbone is not None:
            run_model(models.backbone, tokens.to(device), spans)
    sources = torch.cat([predictors(s, k) for s in spans for k in range(len(s.responses))])
    places = torch.cat([torch.arange(*r) for s in spans for r in s.responses])
    log_probs, entropies = tempered_log_probs(
        final[sources.to(device)],
        generator.lm_head.weight,
        tokens[places].to(device),
        key.temperature,
        key.top_p,
        key.entropy,
    )
    arrays = {
        "tokens.bin": tokens.to(torch.int32).numpy(),
        "log_probs.bin": _scatter(log_probs, places, at),
    }
    if key.layer is not None:
        arrays["hidden.bin"] = caught[0][0].float().cpu().numpy()
    if entropies is not None:
        arrays["entropies.bin"] = _scatter(entropies, places, at)
    return arrays


@contextmanager
def _layer_inputs(model: PreTrainedModel, layer: int | None) -> Iterator[list[torch.Tensor]]:
    """Collect what enters decoder layer ``layer`` of ``model``; nothing if None."""
    caught: list[torch.Tensor] = []
    if layer is None:
        yield caught
        return
    # `hidden_states` is a decoder layer's first argument in every supported architecture.
    hook = model.base_model.layers[layer].register_forward_pre_hook(
        lambda _, args: caught.append(args[0])
    )
    try:
        yield caught
    finally:
        hook.remove()


def _scatter(values: torch.Tensor, places: torch.Tensor, rows: int) -> np.ndarray:
    flat = torch.full((rows,), float("nan"))
    flat[places] = values.float().cpu()
    return flat.numpy()


def content_plan(
    groups: list[EncodedGroup], key: CacheKey, tokens_per_batch: int
) -> dict[str, object]:
    """Return everything that the bytes of a cache depend on."""
    return {
        "key": asdict(key),
        "digest": key.digest(),
        "tokens_per_batch": tokens_per_batch,
        "groups": [g.group.group_id for g in groups],
        "texts": [
            [text_key(key.chat_format, g.group.prompt, r.text) for r in g.group.responses]
            for g in groups
        ],
    }


def build_cache(
    models: Models,
    groups: list[EncodedGroup],
    key: CacheKey,
    tokens_per_batch: int,
    work: Path,
    output: Path,
) -> int:
    """Write the cache folder ``output``; continue in ``work`` where an earlier run stopped.

    Returns:
        The number of batches that were already there.
    """
    batches = plan_batches(groups, tokens_per_batch)
    plan = content_plan(groups, key, tokens_per_batch)
    if output.is_dir():
        refuse_foreign_files(output, OWN_FILES)
    output.parent.mkdir(parents=True, exist_ok=True)
    with only_writer(work):
        done = _resume(work, plan)
        _compute(models, groups, batches, done, key, work, output.name)
        _finish(models, groups, key, work, output)
    return done


def _compute(
    models: Models,
    groups: list[EncodedGroup],
    batches: list[list[EncodedGroup]],
    done: int,
    key: CacheKey,
    work: Path,
    name: str,
) -> None:
    """Append the batches that are not done yet, each safely on disk before the journal says so.

    When asked to stop, the process ends after the batch in hand.
    """
    total = sum(g.span.tokens for g in groups)
    before = sum(g.span.tokens for batch in batches[:done] for g in batch)
    progress = Progress(f"cache {name}", total, "tokens", before)
    with stop_requests() as asked_to_stop:
        for batch in batches[done:]:
            _append(compute_batch(models, batch, key), work)
            progress.advance(sum(g.span.tokens for g in batch))
            if asked_to_stop():
                leave(f"cache {name}")


def _append(arrays: dict[str, np.ndarray], work: Path) -> None:
    for file, array in arrays.items():
        with named_errors(work / file), (work / file).open("ab") as stream:
            stream.write(np.ascontiguousarray(array).tobytes())
            stream.flush()
            os.fsync(stream.fileno())
    sizes = {name: (work / name).stat().st_size for name in arrays}
    with (work / "journal.jsonl").open("a") as stream:
        stream.write(json.dumps(sizes) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _resume(work: Path, plan: dict) -> int:
    """Bring ``work`` to the state after its last finished batch; return the batches done."""
    journal = work / "journal.jsonl"
    if not (work / "plan.json").is_file() or read_json(work / "plan.json") != plan:
        if work.is_dir():
            refuse_foreign_files(work, OWN_FILES)
        remove(work)
        work.mkdir(parents=True)
        write_json(work / "plan.json", plan)
        return 0
    sizes: list[dict[str, int]] = []
    for line in journal.read_text().splitlines() if journal.is_file() else []:
        try:
            sizes.append(json.loads(line))
        except json.JSONDecodeError:
            break  # the kill came while this line was written
    whole = [s for s in sizes if all(_size(work / name) >= size for name, size in s.items())]
    journal.write_text("".join(json.dumps(s) + "\n" for s in whole))
    for name in ARRAYS:
        if (work / name).is_file():
            os.truncate(work / name, whole[-1].get(name, 0) if whole else 0)
    return len(whole)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _finish(
    models: Models, groups: list[EncodedGroup], key: CacheKey, work: Path, output: Path
) -> None:
    rows, at = [], 0
    for encoded in groups:
        span = encoded.span.shifted(at)
        at += span.tokens
        for number, response in enumerate(encoded.responses):
            start, end = span.responses[number]
            text = encoded.group.responses[number].text
            rows.append(
                {
                    "group_id": encoded.group.group_id,
                    "response": number,
                    "text_key": text_key(key.chat_format, encoded.group.prompt, text),
                    "prompt_start": span.prompt[0],
                    "prompt_end": span.prompt[1],
                    "start": start,
                    "end": end,
                    "token_ends": response.ends,
                }
            )
    pq.write_table(pa.Table.from_pylist(rows, schema=INDEX), work / "index.parquet")
    names = [name for name in [*ARRAYS, "index.parquet"] if (work / name).is_file()]
    files = {n: {"bytes": _size(work / n), "sha256": sha256(work / n)} for n in names}
    meta = {
        "key": asdict(key),
        "digest": key.digest(),
        "tokens": at,
        "hidden_size": (models.backbone or models.generator).config.hidden_size,
        "files": files,
    }
    write_json(work / "meta.json", meta)
    for name in ("plan.json", "journal.jsonl"):
        (work / name).unlink(missing_ok=True)
    replace_folder(work, output)
