"""What the reading of a parquet file can meet, as one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from steps.errors import UserError


@contextmanager
def parquet_errors(path: Path, remedy: str) -> Iterator[None]:
    """Let damage that a reader of ``path`` meets in the block end in a sentence with ``remedy``.

    What the system reports, such as a missing permission, says nothing of the content: it names the
    file and passes.
    """
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            error.filename = str(path)
            raise
        raise UserError(f"{path} is not a whole parquet file ({error}); {remedy}") from None
