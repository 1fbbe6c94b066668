"""Data of the paper-scale experiments: sets of the Hugging Face hub and generated solutions.

A set is best pinned by `revision`, the full hash of a commit. Without one the main branch is
fetched; the download step then records the commit and prints the line that pins it.
"""

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from steps.config.backbones import Backbone
from steps.config.sampling import SolutionSampling
from steps.config.section import SECTION_TAG, Commit, Name, Section
from steps.errors import UserError

# Known numbers of rows, rounded up, for what is planned before a set is there.
# Unified-Feedback with unequal ratings: 424K are every second row of training, 42.4K every
# twentieth. The hub lists 11 MB of `val` beside 971 MB of `train`, about 1 % of it.
UNIFIED_FEEDBACK_ROWS = {"train": 850_000, "validation": 20_000}
SKYWORK_ROWS = 78_000  # about 77K
# The release samples four solutions a problem of 10,000 and keeps 39.7K of them.
SOLUTIONS_PER_PROBLEM = 4


@dataclass(frozen=True)
class Size:
    """A number of prompt groups, and of their responses together."""

    groups: int
    responses: int


class LocalProblems(Section):
    """A file of problems on this machine."""

    source: Literal["local"]
    path: str


class HubProblems(Section):
    """A file of problems in a data set of the hub."""

    source: Literal["hub"]
    id: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    file: str
    revision: Commit | None = None


# JSON lines of PRM800K or of MATH, see `steps.groups.prm800k.read_problems`.
Problems = Annotated[LocalProblems | HubProblems, Field(discriminator="source")]


@dataclass(frozen=True)
class HubSet:
    """A data set to fetch.

    Attributes:
        kind: what `python -m steps.download data --set` calls it.
        slug: its name in the folder's name.
        revision: the pinned commit; None = the main branch.
        key: the key of the experiment file that pins it.
        problems: the one file of it that is fetched; None = tables.
    """

    kind: str
    slug: str
    revision: str | None
    key: str = "data.revision"
    problems: HubProblems | None = None

    @property
    def folder(self) -> Path:
        """Where the set lies once the download step has run (relative to the root)."""
        return Path("resources") / f"{self.slug}@{self.revision or 'main'}"


class HubData(Section):
    """Data that the download step fetches from the hub, wholly or in part."""

    def hub_sets(self) -> list[HubSet]:
        """What is to be fetched, in the order in which `prepare` expects the folders."""
        raise NotImplementedError

    def most(self) -> dict[str, Size]:
        """What each set has at most, by the known numbers of rows."""
        raise NotImplementedError

    @property
    def evaluation_sets(self) -> list[str]:
        """Names of the evaluation sets, in table order."""
        return ["validation"]


class UnifiedFeedbackData(HubData):
    """Unified-Feedback: pairs of many sources, rated by people and by GPT-4."""

    source: Literal["unified_feedback"]
    revision: Commit | None = None
    every: int = Field(ge=1)  # of the rows with unequal ratings; 20 is "40K", 2 is "400K"

    def hub_sets(self) -> list[HubSet]:
        return [HubSet("unified_feedback", "unified_feedback", self.revision)]

    def most(self) -> dict[str, Size]:
        return {name: _pairs(ceil(n / self.every)) for name, n in UNIFIED_FEEDBACK_ROWS.items()}


class SkyworkData(HubData):
    """Skywork-Reward-Preference-80K-v0.2, and rows of Unified-Feedback to train on, if wanted."""

    source: Literal["skywork"]
    revision: Commit | None = None
    held_out_every: int = Field(10, ge=2)  # of the rows, for evaluation
    unified_feedback_every: int | None = Field(None, ge=1)  # none without it
    unified_feedback_revision: Commit | None = None

    @model_validator(mode="after")
    def _pin_what_is_used(self) -> "SkyworkData":
        if self.unified_feedback_revision and self.unified_feedback_every is None:
            raise ValueError("unified_feedback_revision needs `unified_feedback_every` too")
        return self

    def hub_sets(self) -> list[HubSet]:
        sets = [HubSet("skywork", "skywork", self.revision)]
        if self.unified_feedback_every is not None:
            key = "data.unified_feedback_revision"
            revision = self.unified_feedback_revision
            sets.append(HubSet("unified_feedback", "unified_feedback", revision, key))
        return sets

    def most(self) -> dict[str, Size]:
        held_out = ceil(SKYWORK_ROWS / self.held_out_every)
        train = SKYWORK_ROWS - held_out
        if self.unified_feedback_every is not None:
            train += ceil(UNIFIED_FEEDBACK_ROWS["train"] / self.unified_feedback_every)
        return {"train": _pairs(train), "validation": _pairs(held_out)}


class SampledSet(Section):
    """Problems, and how a language model shall write solutions of them."""

    problems: Problems
    first: int = Field(ge=1)  # so many distinct problems, in the file's order
    model: Backbone
    sampling: SolutionSampling


def _text_or_section(entry: object) -> str:
    return "text" if isinstance(entry, str) else SECTION_TAG


# A file of groups with `answer`, or problems whose solutions are sampled.
FurtherSet = Annotated[
    Annotated[str, Tag("text")] | Annotated[SampledSet, Tag(SECTION_TAG)],
    Discriminator(_text_or_section),
]


class Prm800kData(HubData):
    """Problems of PRM800K with a generator's solutions, graded by their boxed answers."""

    source: Literal["prm800k"]
    problems: Problems  # phase2_train.jsonl
    first: int = Field(10_000, ge=2)  # so many distinct problems, in the file's order
    # The solutions: how the generator's model (before fine-tuning) shall write them, or a file of
    # groups that has them (JSONL, also .gz, or parquet). Their labels are made here.
    sampling: SolutionSampling | None = None
    samples: str | None = None
    # Further evaluation sets, graded like the solutions.
    evaluation: dict[Name, FurtherSet] = Field({})
    validation_share: float = Field(0.1, gt=0, lt=1)  # of the problems
    split_seed: int = 0

    @model_validator(mode="after")
    def _one_source_of_solutions(self) -> "Prm800kData":
        if (self.sampling is None) == (self.samples is None):
            raise ValueError("give either `sampling` or `samples`, a file of solutions")
        if "validation" in self.evaluation:
            raise ValueError("`evaluation`: 'validation' is made of the solutions; rename it")
        return self

    @property
    def evaluation_sets(self) -> list[str]:
        return ["validation", *self.evaluation]

    @property
    def sampled_evaluation(self) -> dict[str, SampledSet]:
        """The further evaluation sets whose solutions are sampled."""
        return {name: e for name, e in self.evaluation.items() if isinstance(e, SampledSet)}

    @property
    def own_files(self) -> dict[str, str]:
        """The user's files, by the key that names each."""
        given = self.evaluation.items()
        files = {f"data.evaluation.{name}": e for name, e in given if isinstance(e, str)}
        if self.samples is not None:
            files["data.samples"] = self.samples
        for _, key, problems in self._problems():
            if isinstance(problems, LocalProblems):
                files[f"{key}.path"] = problems.path
        return files

    def hub_sets(self) -> list[HubSet]:
        """Each file once, though two sets may have the same problems."""
        sets: dict[HubProblems, HubSet] = {}
        for kind, key, problems in self._problems():
            if isinstance(problems, HubProblems):
                slug = f"{problems.id}/{problems.file}".replace("/", "--")
                fetched = HubSet(kind, slug, problems.revision, f"{key}.revision", problems)
                sets.setdefault(problems, fetched)
        return list(sets.values())

    def _problems(self) -> list[tuple[str, str, Problems]]:
        """What the download step calls each file of problems, its key, and where it is."""
        further = [
            (f"evaluation.{name}", f"data.evaluation.{name}.problems", entry.problems)
            for name, entry in self.sampled_evaluation.items()
        ]
        return [("prm800k", "data.problems", self.problems), *further]

    def most(self) -> dict[str, Size]:
        """With as many solutions a problem as are sampled; in a file, as the release has."""
        solutions = self.sampling.samples if self.sampling else SOLUTIONS_PER_PROBLEM
        held_out = max(round(self.validation_share * self.first), 1)
        sizes = {"train": self.first - held_out, "validation": held_out}
        most = {name: Size(n, solutions * n) for name, n in sizes.items()}
        further = self.sampled_evaluation.items()
        return most | {name: Size(e.first, e.sampling.samples * e.first) for name, e in further}

    def check_files(self) -> None:
        """Raise a `UserError` if one of the user's files is not there."""
        for key, path in self.own_files.items():
            if not Path(path).is_file():
                raise UserError(
                    f"{key}: {path} is not there; correct the path, or make the file (docs/data.md "
                    "says what its rows hold)"
                )


def _pairs(rows: int) -> Size:
    return Size(rows, 2 * rows)
