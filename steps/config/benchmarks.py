"""Benchmarks of reward models on which an experiment is scored."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from steps.config.section import Commit, Section
from steps.errors import UserError

# Those of `steps.benchmarks.registry`, which takes longer to import.
BenchmarkName = Literal["rewardbench", "rewardbench2", "rmbench"]


class HubBenchmark(Section):
    """The publisher's rows, from the Hugging Face hub."""

    source: Literal["hub"]
    benchmark: BenchmarkName | None = None  # null: the one that the entry is named after
    revision: Commit | None = None  # null: the pinned one where there is one, else the main branch

    @property
    def rows(self) -> Path:
        """The folder of the rows once the download step has run (relative to the root)."""
        return Path("resources/benchmarks") / f"{self.benchmark}@{self.revision or 'default'}"


class FileBenchmark(Section):
    """Rows in the benchmark's layout on this machine: JSONL (also .gz) or parquet.

    The file may hold some of the subsets; numbers that need the others are refused.
    """

    source: Literal["files"]
    benchmark: BenchmarkName | None = None  # null: the one that the entry is named after
    path: str

    @property
    def rows(self) -> Path:
        """The file of the rows."""
        return Path(self.path)

    def check_rows(self, name: str) -> None:
        """Raise a `UserError` if the file of the entry ``name`` is not there."""
        if not self.rows.is_file():
            raise UserError(
                f"benchmarks.{name}.path: {self.path} is not there; make it as docs/benchmarks.md "
                "('Without the hub') says, give another file of the benchmark's rows, or take the "
                "entry out"
            )


BenchmarkData = Annotated[HubBenchmark | FileBenchmark, Field(discriminator="source")]
