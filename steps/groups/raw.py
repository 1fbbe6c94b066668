"""Files of a raw data folder, as `python -m steps.download data` writes them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from steps.errors import UserError
from steps.groups.parquet import parquet_errors

SOURCE_FILE = "source.json"
PROBLEMS_FILE = "problems.jsonl"
DOWNLOAD = "python -m steps.download data"
_BATCH = 4096


class RawTable:
    """A parquet file that is read in pieces: whole, it may be larger than the memory.

    Args:
        command: what writes the file, for the errors.
    Raises:
        UserError: the file is missing, damaged or lacks a column.
    """

    def __init__(self, path: Path, columns: Sequence[str], command: str = DOWNLOAD):
        self.path, self.columns = Path(path), list(columns)
        self._again = f"delete the folder and run `{command}` again"
        if not self.path.is_file():
            raise UserError(f"{path} is not there; run `{command}`")
        with self._open() as file:
            self.rows = file.metadata.num_rows
            for column in columns:
                if column not in file.schema_arrow.names:
                    raise UserError(
                        f"{path}: the column '{column}' is missing (it has: "
                        f"{', '.join(file.schema_arrow.names)}); {self._again}"
                    )

    def numbers(self, column: str) -> np.ndarray:
        """Return a numeric column, shape [rows]; null is nan."""
        with self._open() as file:
            values = file.read(columns=[column]).column(0)
        return values.to_numpy(zero_copy_only=False).astype(np.float64)

    def take(self, chosen: np.ndarray) -> Iterator[tuple[int, dict]]:
        """Yield the number (from 0) and the content of the ``chosen`` rows, which ascend."""
        start = 0
        with self._open() as file:
            for batch in file.iter_batches(batch_size=_BATCH, columns=self.columns):
                end = start + batch.num_rows
                here = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, end)]
                yield from zip(here, batch.take(pa.array(here - start)).to_pylist(), strict=True)
                start = end

    @contextmanager
    def _open(self) -> Iterator[pq.ParquetFile]:
        with parquet_errors(self.path, self._again), pq.ParquetFile(self.path) as file:
            yield file
