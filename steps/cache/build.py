"""Filling a cache: one forward pass of the generator over every prompt group.

Work goes on in a folder of its own that no workflow engine deletes; a journal says which batches
are safely on disk, so an interrupted run continues after the last of them with the same bytes as
an undisturbed one. Plan and journal lie beside what becomes the cache, whose folder is renamed to
its place when it is finished: until then nothing is taken away.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from steps.cache.compute import Models, compute_batch
from steps.cache.encode import EncodedGroup, EncodedGroups
from steps.cache.journal import CACHE, JOURNAL, Journal
from steps.cache.key import CacheKey, text_key
from steps.cache.store import ARRAYS, INDEX
from steps.files import (
    link_folder,
    refuse_foreign_files,
    remove,
    replace_folder,
    sha256,
    write_json,
)
from steps.groups.schema import ROWS_AT_ONCE
from steps.lock import only_writer
from steps.packing import GroupSpan
from steps.progress import Progress
from steps.stop import leave, stop_requests
from steps.unfinished import open_work

OWN_FILES = {*ARRAYS, "index.parquet", "meta.json"}


def plan_batches(groups: EncodedGroups, tokens_per_batch: int) -> list[slice]:
    """Cut the groups, in order, into batches of about ``tokens_per_batch`` tokens.

    A group is never split; one that is larger than the budget is a batch by itself.
    """
    starts, room = [], 0
    for place, tokens in enumerate(np.diff(groups.starts).tolist()):
        if tokens > room:
            starts.append(place)
            room = tokens_per_batch
        room -= tokens
    return [slice(start, end) for start, end in pairwise([*starts, len(groups)])]


def content_plan(
    groups: Iterable[EncodedGroup], key: CacheKey, tokens_per_batch: int
) -> dict[str, object]:
    """Return everything that the bytes of a cache depend on, of the texts a hash."""
    texts = hashlib.sha256()
    for group in (encoded.group for encoded in groups):
        keys = [text_key(key.chat_format, group.prompt, r.text) for r in group.responses]
        texts.update(json.dumps([group.group_id, keys]).encode())
    return {
        "key": asdict(key),
        "digest": key.digest(),
        "tokens_per_batch": tokens_per_batch,
        "texts": texts.hexdigest(),
    }


def build_cache(
    models: Models,
    groups: EncodedGroups,
    key: CacheKey,
    tokens_per_batch: int,
    work: Path,
    output: Path,
    shared: Path | None = None,
) -> int:
    """Write the cache folder ``output``; continue in ``work`` where an earlier run stopped.

    When asked to stop, the process ends after the batch in hand.

    Args:
        shared: where the cache gets a second name first, for the workflow deletes the output of a
            job that is killed.

    Returns:
        The number of batches that were already there.
    """
    batches = plan_batches(groups, tokens_per_batch)
    plan = content_plan(groups, key, tokens_per_batch)
    if output.is_dir():
        refuse_foreign_files(output, OWN_FILES)
    output.parent.mkdir(parents=True, exist_ok=True)
    with only_writer(work):
        open_work(plan, work, {JOURNAL, CACHE})
        journal = Journal(work)
        done = journal.batches
        sizes = [int(groups.starts[batch.stop] - groups.starts[batch.start]) for batch in batches]
        progress = Progress(f"cache {output.name}", sum(sizes), "tokens", done=sum(sizes[:done]))
        with stop_requests() as asked_to_stop:
            for batch, size in zip(batches[done:], sizes[done:], strict=True):
                journal.append(compute_batch(models, groups[batch], key))
                progress.advance(size)
                if asked_to_stop():
                    leave(f"cache {output.name}")
        _finish(models, groups, key, journal)
        if shared is not None and not shared.is_dir():
            link_folder(journal.cache, shared)
        replace_folder(journal.cache, output)
        remove(work)
    return done


def _finish(models: Models, groups: EncodedGroups, key: CacheKey, journal: Journal) -> None:
    """Write the index and what the cache is."""
    index = journal.cache / "index.parquet"
    _write_index(groups, key, index)
    meta = {
        "key": asdict(key),
        "digest": key.digest(),
        "tokens": len(groups.ids),
        "hidden_size": (models.backbone or models.generator).config.hidden_size,
        "files": journal.files
        | {index.name: {"bytes": index.stat().st_size, "sha256": sha256(index)}},
    }
    write_json(journal.cache / "meta.json", meta)
    for left in journal.cache.glob(".*.part"):  # by an earlier owner, who was killed
        remove(left)


def _write_index(groups: EncodedGroups, key: CacheKey, path: Path) -> None:
    with pq.ParquetWriter(path, INDEX) as writer:
        for start in range(0, len(groups), ROWS_AT_ONCE):
            places = range(start, min(start + ROWS_AT_ONCE, len(groups)))
            rows = [row for k in places for row in _rows(groups[k], groups.span(k), key)]
            writer.write_table(pa.Table.from_pylist(rows, schema=INDEX))


def _rows(encoded: EncodedGroup, span: GroupSpan, key: CacheKey) -> list[dict]:
    """Return the rows of `INDEX` of one group, which lies at ``span``."""
    group = encoded.group
    return [
        {
            "group_id": group.group_id,
            "response": number,
            "text_key": text_key(key.chat_format, group.prompt, group.responses[number].text),
            "prompt_start": span.prompt[0],
            "prompt_end": span.prompt[1],
            "start": start,
            "end": end,
            "token_ends": encoded.ends[slice(*own)],
        }
        for number, ((start, end), own) in enumerate(
            zip(span.responses, encoded.span.responses, strict=True)
        )
    ]
