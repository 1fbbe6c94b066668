"""The store on disk: flat memory-mapped arrays and an index.

A cache is a folder:
    meta.json       the key, the sizes and the hash of every file; written last
    index.parquet   one row per response, see `INDEX`
    tokens.bin      int32   [T]      token ids in the packed layout, group after group
    log_probs.bin   float32 [T]      generator log-probability of response tokens, NaN on prompts
    entropies.bin   float32 [T]      of the distribution that each token is drawn from (optional)
    hidden.bin      float32 [T, D]   hidden states that enter the first trained layer
"""

from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from steps.cache.key import PART_NAMES, CacheKey, text_key
from steps.cache.tokens import CachedGroup, TokenStore
from steps.errors import UserError
from steps.files import read_json, sha256
from steps.groups.schema import PromptGroup, read_table
from steps.packing import GroupSpan

INDEX = pa.schema(
    [
        ("group_id", pa.string()),
        ("response", pa.int32()),  # index in its group
        ("text_key", pa.string()),  # hash of tokenizer, template, prompt and response
        ("prompt_start", pa.int64()),  # [start, end) of the group's prompt in the flat arrays
        ("prompt_end", pa.int64()),
        ("start", pa.int64()),  # [start, end) of the response
        ("end", pa.int64()),
        # Characters of the text up to each token's end; as large as all tokens, so it stands last.
        ("token_ends", pa.list_(pa.int32())),
    ]
)
ARRAYS = {
    "tokens.bin": np.int32,
    "log_probs.bin": np.float32,
    "entropies.bin": np.float32,
    "hidden.bin": np.float32,
}


META_KEYS = {"key", "digest", "tokens", "hidden_size", "files"}


class Cache(TokenStore):
    """A finished cache, open for reading."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.meta = read_json(self.folder / "meta.json")
        if not isinstance(self.meta, dict) or not set(self.meta) >= META_KEYS:
            raise UserError(
                f"{self.folder / 'meta.json'} is damaged; delete {self.folder} and run the cache "
                "step again"
            )
        self.index = read_table(self.folder / "index.parquet", pa.schema(list(INDEX)[:-1]))
        for name, facts in self.meta["files"].items():
            path = self.folder / name
            size = path.stat().st_size if path.is_file() else 0
            expected = facts["bytes"]
            if name in ARRAYS:  # from the index, so that a wrong size is not believed
                width = self.meta["hidden_size"] if name == "hidden.bin" else 1
                expected = self.meta["tokens"] * width * np.dtype(ARRAYS[name]).itemsize
            if size != expected:
                raise UserError(
                    f"{path} is truncated or damaged ({size:,} instead of {expected:,} bytes); "
                    f"delete {self.folder} and run the cache step again"
                )

    def array(self, name: str) -> np.memmap:
        """One of `ARRAYS`, [T] or [T, D]."""
        tokens = self.meta["tokens"]
        shape = (tokens, self.meta["hidden_size"]) if name == "hidden.bin" else (tokens,)
        # Copy-on-write: torch wants a writable buffer, the file stays as it is.
        return np.memmap(self.folder / name, dtype=ARRAYS[name], mode="c", shape=shape)

    @cached_property
    def tokens(self) -> np.memmap:
        """[T], token ids."""
        return self.array("tokens.bin")

    @cached_property
    def log_probs(self) -> np.memmap:
        """[T], generator log-probabilities."""
        return self.array("log_probs.bin")

    @cached_property
    def hidden(self) -> np.memmap:
        """[T, D], input of the first trained layer."""
        return self.array("hidden.bin")

    @cached_property
    def _rows(self) -> dict[str, range]:
        """The rows of the index that hold each group's responses, by group."""
        firsts = np.flatnonzero(self.index["response"].to_numpy() == 0)
        ids = self.index["group_id"].take(pa.array(firsts)).to_pylist()
        rows = map(range, firsts.tolist(), [*firsts[1:].tolist(), len(self.index)])
        return dict(zip(ids, rows, strict=True))

    @cached_property
    def groups(self) -> dict[str, CachedGroup]:
        """The groups by id, in stored order."""
        columns = ("prompt_start", "prompt_end", "start", "end")
        spans = [self.index[name].to_pylist() for name in columns]
        groups = {}
        for group_id, rows in self._rows.items():
            own = slice(rows.start, rows.stop)
            prompt_start, prompt_end, starts, ends = (column[own] for column in spans)
            responses = tuple(zip(starts, ends, strict=True))
            span = GroupSpan((prompt_start[0], prompt_end[0]), responses)
            groups[group_id] = CachedGroup(group_id, span)
        return groups

    @cached_property
    def _token_ends(self) -> pa.ChunkedArray:
        # Read where it is asked for: it takes as much memory as the tokens.
        return read_table(self.folder / "index.parquet", pa.schema([INDEX[-1]])).column(0)

    def token_ends(self, group: CachedGroup) -> list[np.ndarray]:
        """Return, for each response [L], the characters of its text up to each token's end."""
        return [self._token_ends[row].values.to_numpy() for row in self._rows[group.group_id]]

    def hidden_of(self, groups: list[CachedGroup]) -> tuple[Tensor, list[GroupSpan]]:
        """Return the groups' hidden states as one packed row, [1, T, D], and their spans in it."""
        parts, spans, at = [], [], 0
        for group in groups:
            start = group.span.prompt[0]
            parts.append(torch.from_numpy(self.hidden[start : start + group.span.tokens]))
            spans.append(group.span.shifted(at - start))
            at += group.span.tokens
        return torch.cat(parts)[None], spans

    def check_key(self, key: CacheKey) -> None:
        """Check that the cache was made with this generator, tokenizer and settings."""
        for part, wanted in asdict(key).items():
            found = self.meta["key"].get(part)
            if found != wanted:
                name = PART_NAMES.get(part, part)
                raise UserError(
                    f"{self.folder} was made with another {name} ({found}, now {wanted}); delete "
                    "it and run the cache step again"
                )

    def check_texts(self, groups: list[PromptGroup]) -> None:
        """Check that the cache was made from these groups with the tokenizer it claims."""
        keys = self.index["text_key"].to_pylist()
        chat_format = self.meta["key"]["chat_format"]
        for group in groups:
            rows = self._rows.get(group.group_id, ())
            stored = [keys[row] for row in rows]
            for number, response in enumerate(group.responses):
                expected = text_key(chat_format, group.prompt, response.text)
                if stored[number : number + 1] != [expected]:
                    raise UserError(
                        f"{self.folder} was made from other texts: response {number} of group "
                        f"'{group.group_id}' differs; delete it and run the cache step again"
                    )

    def check_hashes(self) -> None:
        """Check every file against the hash taken when it was written."""
        for name, facts in self.meta["files"].items():
            if sha256(self.folder / name) != facts["sha256"]:
                raise UserError(
                    f"{self.folder / name} has changed since it was written; delete "
                    f"{self.folder} and run the cache step again"
                )
