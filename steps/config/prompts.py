"""Prompts of the policies that are not those of the reward models."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from steps.config.section import Commit, Section

# Which rows they are: columns split (train, test) and sha256_16, see the head of the file.
RELEASE_PROMPTS = Path("config/release_prompts.tsv")


class ReleasePrompts(Section):
    """The release's prompts: rows of RewardBench before its authors filtered it."""

    source: Literal["release"]
    revision: Commit | None = None  # of allenai/reward-bench; null: the main branch
    # Of the prompts of either split; fewer say that the data set is not the release's.
    least_share: float = Field(0.95, gt=0, le=1)

    @property
    def rows(self) -> Path:
        """The folder of the rows once the download step has run (relative to the root)."""
        return Path("resources/prompts") / f"reward-bench-raw@{self.revision or 'main'}"
