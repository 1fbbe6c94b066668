"""Benchmarks of reward models on which an experiment is scored."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from steps.benchmarks.rewardbench_subsets import REBUILT
from steps.config.section import Commit, Section
from steps.errors import UserError, nearest

# Those of `steps.benchmarks.registry`, which takes longer to import.
BenchmarkName = Literal["rewardbench", "rewardbench2", "rmbench"]
PAIRS_FILE = "pairs.jsonl.gz"  # in the folder of a source that rows are rebuilt from


def missing_source(file: Path) -> str:
    """Say what to put where a source's file of pairs is missing."""
    return (
        f"{file} is not there; put or link there the pairs of LLMBar (github.com/princeton-nlp/"
        "LLMBar) or HumanEvalPack (github.com/bigcode-project/octopack) as docs/benchmarks.md "
        "('Without the hub') lays them out"
    )


class HubBenchmark(Section):
    """The publisher's rows, from the Hugging Face hub."""

    source: Literal["hub"]
    benchmark: BenchmarkName | None = None  # null: the one that the entry is named after
    revision: Commit | None = None  # null: the pinned one where there is one, else the main branch

    @property
    def rows(self) -> Path:
        """The folder of the rows once the download step has run (relative to the root)."""
        return Path("resources/benchmarks") / f"{self.benchmark}@{self.revision or 'default'}"


class Rebuild(Section):
    """Where the rows come from that can be had without the hub, see `steps.benchmarks.rebuild`."""

    folders: list[str] = Field(min_length=1)  # of a source each
    subsets: list[str] = Field(list(REBUILT), min_length=1)

    @field_validator("subsets")
    @classmethod
    def _known(cls, subsets: list[str]) -> list[str]:
        for name in subsets:
            if name not in REBUILT:
                raise ValueError(f"'{name}' cannot be rebuilt; {nearest(name, list(REBUILT))}")
        return subsets

    @property
    def files(self) -> list[Path]:
        """The sources' files of pairs."""
        return [Path(folder) / PAIRS_FILE for folder in self.folders]


class FileBenchmark(Section):
    """Rows in the benchmark's layout on this machine: JSONL (also .gz) or parquet.

    The file may hold some of the subsets; numbers that need the others are refused.
    """

    source: Literal["files"]
    benchmark: BenchmarkName | None = None  # null: the one that the entry is named after
    path: str
    rebuild: Rebuild | None = None  # null: the file is one's own

    @model_validator(mode="after")
    def _can_be_rebuilt(self) -> "FileBenchmark":
        if self.rebuild and self.benchmark != "rewardbench":
            raise ValueError("`rebuild` makes rows of rewardbench alone; leave it out")
        if self.rebuild and not self.path.endswith(".jsonl.gz"):
            raise ValueError("`path` must end with .jsonl.gz, which is what `rebuild` writes")
        return self

    @property
    def rows(self) -> Path:
        """The file of the rows."""
        return Path(self.path)

    def check_rows(self, name: str) -> None:
        """Raise a `UserError` if the file of the entry ``name`` is not there, nor its sources."""
        if self.rows.is_file():
            return
        if self.rebuild is None:
            raise UserError(
                f"benchmarks.{name}.path: {self.path} is not there; make it as docs/benchmarks.md "
                "('Without the hub') says, give another file of the benchmark's rows, or take the "
                "entry out"
            )
        for file in self.rebuild.files:
            if not file.is_file():
                raise UserError(f"benchmarks.{name}.rebuild.folders: {missing_source(file)}")


BenchmarkData = Annotated[HubBenchmark | FileBenchmark, Field(discriminator="source")]
