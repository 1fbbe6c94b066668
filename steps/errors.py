"""One kind of error for everything that the user can put right."""

import errno
import os
import re
import sys
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

_SPACE = "free some space and start again, finished steps are kept"
_PERMISSION = "fix the permissions and start again, finished steps are kept"
_PATH = "correct the path"
# What the system reports and the user can mend.
_USERS = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: _PERMISSION,
    errno.ENOENT: _PATH,
    errno.EEXIST: _PATH,
    errno.ENOTDIR: _PATH,
    errno.EISDIR: _PATH,
}


class UserError(Exception):
    """Bad input. The message is one sentence that names the file, row or key, and the remedy."""


def close_match(word: str, known: list[str]) -> str | None:
    """Return the word of ``known`` that ``word`` is probably a misspelling of."""
    return next(iter(get_close_matches(word, known, n=1, cutoff=0.5)), None)


def nearest(word: str, known: list[str]) -> str:
    """Return a hint such as ``did you mean 'seeds'?`` for a misspelt ``word``, or the choices."""
    match = close_match(word, known)
    if match:
        return f"did you mean '{match}'?"
    return "known: " + ", ".join(sorted(known))


def _without_credentials(text: str) -> str:
    """Return ``text`` with no credentials in its URLs.

    An index or a hub may have a user name and a password, and sign its links in their queries.
    """
    text = re.sub(r"(?<=://)[^/@\s]+@", "", text)
    return re.sub(r"(://[^\s?'\"]*)\?[^\s'\"()]*?(?=[.,;:]?(?:[\s'\"()]|$))", r"\1", text)


def _given(place: str) -> bool:
    """Whether the user has named the path on the command line, or a folder above or below it."""
    path, given = Path(place), [Path(argument) for argument in sys.argv[1:]]
    return any(path.is_relative_to(each) or each.is_relative_to(path) for each in given)


def run_command(main: Callable[[], None]) -> None:
    """Run a command line; print a `UserError` or a full disk as one sentence and exit with 1.

    Anything else, a missing file that the user has not named among it, is a fault of the program
    and keeps its traceback.
    """
    try:
        main()
    except UserError as error:
        # What a library says may have lines of its own; the remedy stands at the end.
        text = re.sub(r"\s*\n\s*", " ", str(error))
        sys.exit(f"error: {_without_credentials(text)}")
    except OSError as error:
        if error.errno not in _USERS:
            raise
        place, remedy = str(error.filename or "a file"), _USERS[error.errno]
        if remedy is _PATH and not _given(place):
            raise
        sys.exit(f"error: cannot use {place}: {os.strerror(error.errno)}; {remedy}")
