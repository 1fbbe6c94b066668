"""The keys that a row of a user's own file may have, and notes on those that are not known."""

from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

from steps.errors import close_match
from steps.groups.schema import Response

_ROW = ("prompt", "group_id", "id", "category", "subset", "source", "answer")
GROUP_KEYS = (*_ROW, "responses")
PAIR_KEYS = (*_ROW, "chosen", "rejected", "margin", "chosen_model", "rejected_model")
# Of a file of samples: the tokens that `steps.sample.written` reads. Neither noted nor suggested.
_SAMPLES = ("written",)
RESPONSE_KEYS = tuple(field.name for field in fields(Response))


def misspelt(missing: tuple[str, ...], values: dict[str, Any], known: tuple[str, ...]) -> str:
    """Return a hint such as ``; did you mean 'prompt' by 'promt'?`` on the keys that a row lacks.

    Only a key that is not ``known`` can be a misspelling. Without a near one the hint lists the
    row's keys.
    """
    unknown = [given for given in values if given not in known]
    for key in missing:
        match = close_match(key, unknown)
        if match:
            return f"; did you mean '{key}' by '{match}'?"
    return f" (it has: {', '.join(values)})"


class IgnoredKeys:
    """Counts the keys of a file's rows that are not known; a null counts as absent."""

    def __init__(self) -> None:
        self._counts: Counter = Counter()  # (what has the key, key) -> how many
        self._known: dict[str, set[str]] = {}  # key -> the keys known where it stands

    def add(self, row: dict[str, Any]) -> None:
        """Count a row, which has been read as a group or a pair before, and its responses."""
        is_group = "responses" in row
        self._add("rows", row, GROUP_KEYS if is_group else PAIR_KEYS)
        for response in row["responses"] if is_group else ():
            self._add("responses", response, RESPONSE_KEYS)

    def _add(self, what: str, values: dict[str, Any], known: tuple[str, ...]) -> None:
        for key, value in values.items():
            if key not in (*known, *_SAMPLES) and value is not None:
                self._counts[what, key] += 1
                self._known.setdefault(key, set()).update(known)

    def notes(self, path: Path) -> list[str]:
        """Return a sentence for each key, with the nearest known one where one is close."""
        notes = []
        for (what, key), count in self._counts.items():
            match = close_match(key, sorted(self._known[key]))
            hint = f"; did you mean '{match}'?" if match else ""
            notes.append(f"{path}: the key '{key}' of {count:,} {what} is ignored{hint}")
        return notes
