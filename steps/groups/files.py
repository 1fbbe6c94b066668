"""A user's own data: groups or preference pairs in JSONL (also .gz) or parquet -> prompt groups.

Each row is one of
- a group {prompt, responses: [{text, correct | score, model, ...}], group_id or id, category,
  answer}; the responses' further keys are those of `steps.groups.schema`;
- a pair {prompt, chosen, rejected, id, category or subset, margin, chosen_model, rejected_model}.
All keys are in `steps.groups.keys`.
Other keys are ignored, with a note. Rows are counted from 1. `steps.groups.repeats` says what
becomes of repeated and contradicting rows and of several pairs of one prompt. Where the responses
of a group differ in what is known of them, `steps.groups.order` says which pairs have an order.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from steps.errors import UserError
from steps.groups.keys import GROUP_KEYS, PAIR_KEYS, RESPONSE_KEYS, IgnoredKeys, misspelt
from steps.groups.parquet import parquet_errors
from steps.groups.repeats import clean_rows
from steps.groups.schema import PromptGroup, Response

EXTENSIONS = (".jsonl", ".jsonl.gz", ".parquet")


class RowError(UserError):
    """What is wrong with one row alone.

    Attributes:
        group_id: that the row has, or would have; None where it is no object with keys.
    """

    def __init__(self, message: str, group_id: str | None):
        super().__init__(message)
        self.group_id = group_id


def read_file(path: Path, notes: list[str] | None = None) -> list[PromptGroup]:
    """Read a file of groups or pairs; the pairs of a prompt become a group of scored responses.

    Args:
        notes: where to append a sentence on what was ignored, left out or joined.
    Raises:
        UserError: naming the file and the row, and what is wrong with it.
    """
    rows = read_uncleaned(path, notes)
    groups, left_out = clean_rows(rows, path)
    if not groups:
        raise UserError(f"{left_out[-1]}; nothing is left, so correct the labels")
    if notes is not None:
        notes += left_out
    return groups


def read_uncleaned(path: Path, notes: list[str] | None = None) -> dict[int, PromptGroup]:
    """Read the rows of a file as they are, each a group, by their numbers; see `read_file`."""
    groups = {}
    for number, group in iterate_file(path, notes):
        if isinstance(group, UserError):
            raise group
        groups[number] = group
    return groups


def iterate_file(
    path: Path, notes: list[str] | None = None
) -> Iterator[tuple[int, PromptGroup | RowError]]:
    """Yield number and group of each row, or what is wrong with that row alone.

    Rows are read one after the other; what grows with their number is a short hash of each id.

    Args:
        notes: where to append, at the end, a sentence for each key that was ignored.
    Raises:
        UserError: the file is missing, damaged or empty.
    """
    path = Path(path)
    number, first_row, ignored = 0, {}, IgnoredKeys()
    for number, row in read_rows(path, keep_bad=True):
        place, group_id = f"{path}: row {number}", None
        try:
            parsed = _Row(row, place)
            group_id = f"{path.name}/{number}"
            own = parsed.identifier() or group_id
            digest = hashlib.blake2b(own.encode(), digest_size=8).digest()
            first = first_row.setdefault(digest, number)
            if first != number:
                raise UserError(
                    f"{place}: the id '{own}' is that of row {first} too; give each row its own"
                )
            group_id = own
            group = parsed.group(group_id, path.name)
        except UserError as error:
            yield number, RowError(str(error), group_id)
            continue
        ignored.add(row)
        yield number, group
    if not number:
        raise UserError(f"{path} has no row; give a file with groups or pairs")
    if notes is not None:
        notes += ignored.notes(path)


def read_rows(path: Path, keep_bad: bool = False) -> Iterator[tuple[int, Any]]:
    """Yield the number (from 1) and the content of each row of a file.

    Args:
        keep_bad: yield a `UserError` in place of a line that is not JSON instead of raising it.
    Raises:
        UserError: the file is not there, of another type, or damaged.
    """
    if not path.name.endswith(EXTENSIONS):
        raise UserError(f"{path}: unknown file type; give one of {', '.join(EXTENSIONS)}")
    if not path.is_file():
        raise UserError(f"{path} is not there; correct the path")
    if path.name.endswith(".parquet"):
        yield from _parquet_rows(path)
        return
    for number, row in _json_rows(path):
        if isinstance(row, UserError) and not keep_bad:
            raise row
        yield number, row


def _json_rows(path: Path) -> Iterator[tuple[int, Any]]:
    opener = gzip.open if path.name.endswith(".gz") else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield number, _parse(line, f"{path}: row {number}")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 after row {number} ({error}); convert it") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{path} is not a whole gzip file (it ends after row {number}: {error}); copy it again"
        ) from None


def _parse(line: str, place: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        whole = line.lstrip().startswith("[")
        remedy = "write one object a line, not a list of them" if whole else "correct the line"
        return UserError(f"{place} is not JSON ({error}); {remedy}")


def _parquet_rows(path: Path) -> Iterator[tuple[int, Any]]:
    number = 0
    with (
        parquet_errors(path, "copy it again"),
        # Read ahead by a megabyte, not by a whole row group, which may be the whole file.
        pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file,
    ):
        for batch in file.iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield number, row


class _Row:
    """Typed access to one JSON object; every complaint names the file, the row and the key."""

    def __init__(self, values: Any, place: str, known: tuple[str, ...] = ()):
        if isinstance(values, UserError):
            raise values
        if not isinstance(values, dict):
            raise UserError(f"{place} is not an object with keys and values; write one a line")
        self.values, self.place = values, place
        self.known = known or (GROUP_KEYS if "responses" in values else PAIR_KEYS)

    def group(self, group_id: str, source: str) -> PromptGroup:
        """Read the row as a group or a pair."""
        if "responses" in self.values:
            responses = self._responses()
        elif "chosen" in self.values or "rejected" in self.values:
            responses = self._pair()
        else:
            hint = misspelt(("responses", "chosen", "rejected"), self.values, self.known)
            raise UserError(
                f"{self.place}: neither the key 'responses' (a group) nor 'chosen' and 'rejected' "
                f"(a pair) is there{hint}"
            )
        return PromptGroup(
            group_id=group_id,
            source=self._text("source", required=False) or source,
            category=self._first("category", "subset") or "all",
            prompt=self._text("prompt"),
            responses=responses,
            answer=self._text("answer", required=False),
        )

    def _responses(self) -> tuple[Response, ...]:
        given = self.values["responses"]
        if not isinstance(given, list) or not given:
            raise UserError(f"{self.place}: 'responses' must be a list with a response or more")
        return tuple(
            _Row(values, f"{self.place}, response {k}", RESPONSE_KEYS)._response()
            for k, values in enumerate(given, start=1)
        )

    def _response(self) -> Response:
        text = self._text("text")
        start, end = self._typed("error_start", int), self._typed("error_end", int)
        if (start is None) != (end is None):
            raise UserError(f"{self.place}: give both 'error_start' and 'error_end', or neither")
        if start is not None and not 0 <= start < end <= len(text):
            raise UserError(f"{self.place}: the error span [{start}, {end}) lies outside the text")
        return Response(
            text=text,
            correct=self._typed("correct", bool),
            score=self._number("score"),
            model=self._text("model", required=False),
            hinted=bool(self._typed("hinted", bool)),
            annotated=bool(self._typed("annotated", bool)) or start is not None,
            error_start=start,
            error_end=end,
            pair=self._typed("pair", int),
            finish_reason=self._text("finish_reason", required=False),
            n_tokens=self._typed("n_tokens", int),
        )

    def _pair(self) -> tuple[Response, Response]:
        chosen, rejected = self._text("chosen"), self._text("rejected")
        if chosen == rejected:
            raise UserError(f"{self.place}: 'chosen' and 'rejected' are equal; remove the row")
        margin = self._number("margin")
        if margin is not None and margin <= 0:
            raise UserError(
                f"{self.place}: 'margin' must be above 0 (it is {margin}); "
                + ("swap the two or remove the row" if margin else "remove the row, it is a tie")
            )
        models = [self._text(f"{which}_model", required=False) for which in ("chosen", "rejected")]
        return (
            Response(chosen, score=1.0 if margin is None else margin, model=models[0], pair=0),
            Response(rejected, score=0.0, model=models[1], pair=0),
        )

    def identifier(self) -> str | None:
        """Return the row's own id, if it has one."""
        for key in ("group_id", "id"):
            value = self.values.get(key)
            if isinstance(value, int) and not isinstance(value, bool):
                return str(value)
        return self._first("group_id", "id")

    def _first(self, *keys: str) -> str | None:
        found = (self._text(key, required=False) for key in keys)
        return next((value for value in found if value is not None), None)

    def _text(self, key: str, required: bool = True) -> str | None:
        if required and key not in self.values:
            hint = misspelt((key,), self.values, self.known)
            raise UserError(f"{self.place}: '{key}' is missing{hint}")
        value = self._typed(key, str)
        if value is not None and any("\ud800" <= c <= "\udfff" for c in value):
            raise UserError(
                f"{self.place}: '{key}' holds half a character (a lone surrogate); "
                "correct the text or remove the row"
            )
        if (required and value is None) or (value is not None and not value.strip()):
            raise UserError(f"{self.place}: '{key}' is empty; give a text or remove the row")
        return value

    def _number(self, key: str) -> float | None:
        value = self._typed(key, (int, float))
        if value is None:
            return None
        if not -1e300 < value < 1e300:
            raise UserError(f"{self.place}: '{key}' is not a finite number; give one or null")
        return float(value)

    def _typed(self, key: str, kind: type | tuple[type, ...]) -> Any:
        """Return the value, None where it is null or absent; a wrong type is an error."""
        value = self.values.get(key)
        # In Python true and false are integers too.
        wrong_bool = isinstance(value, bool) and kind is not bool
        if value is not None and (wrong_bool or not isinstance(value, kind)):
            names = {str: "text", bool: "true, false or null", int: "a whole number"}
            expected = names.get(kind, "a number") if isinstance(kind, type) else "a number"
            raise UserError(f"{self.place}: '{key}' must be {expected}, it is {_kind_of(value)}")
        return value


def _kind_of(value: Any) -> str:
    """Name what stands in the place of a text or a number."""
    messages = value if isinstance(value, list) else [value]
    if messages and all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in messages):
        return (
            "a list of messages; give the 'content' of the one message as a plain text (the "
            "backbone's chat template adds the roles)"
        )
    if isinstance(value, bytes):
        return "bytes; convert the column to text"
    return f"the text {value!r:.50}" if isinstance(value, str) else f"a {type(value).__name__}"
