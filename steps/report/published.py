"""Published numbers, from ``config/published_scores.yaml``, to stand beside ours."""

import datetime
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError, model_validator

from steps.config.load import PUBLISHED_SCORES, UniqueKeyLoader
from steps.config.section import Section
from steps.errors import UserError

NOT_CITED = "not cited"
Text = Annotated[str, Field(min_length=1)]


class PublishedRow(Section):
    """The scores of one method on one benchmark, as its source gives them."""

    benchmark: Text  # the name in `steps.benchmarks.registry`
    backbone: Text
    method: Text  # what the source calls it
    data: Text  # what the source says of the training data
    values: dict[Text, float] = Field(min_length=1)  # by number, in the source's unit
    source: Text
    table: Text  # which table of the source
    date: datetime.date  # on which the source was read

    def cell(self, number: str) -> str:
        """Return a value with the digits it was published with, or that it is not cited."""
        value = self.values.get(number)
        return NOT_CITED if value is None else f"{value}"

    @property
    def citation(self) -> str:
        """Where the values are from and what was trained on, for a note under a table."""
        place = f"{self.source}, table '{self.table}', read on {self.date}"
        return f"{self.method}: {place}; training data: {self.data}"


class PublishedScores(Section):
    """The whole file."""

    scores: list[PublishedRow]

    @model_validator(mode="after")
    def _distinct(self) -> "PublishedScores":
        keys = [(row.benchmark, row.backbone, row.method, row.source) for row in self.scores]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"{key[2]} stands twice for {key[0]} and {key[1]}")
        return self


def published_rows(
    benchmark: str, backbone: str, path: Path = PUBLISHED_SCORES
) -> list[PublishedRow]:
    """Return the published rows of a benchmark and a backbone, in the file's order; maybe none.

    Raises:
        UserError: the file is missing or breaks a rule.
    """
    rows = read_published(path).scores
    return [row for row in rows if (row.benchmark, row.backbone) == (benchmark, backbone)]


def read_published(path: Path) -> PublishedScores:
    """Read and check the file."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=UniqueKeyLoader)
    except FileNotFoundError:
        raise UserError(f"{path} is not there; restore it from the repository") from None
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not valid YAML ({reason}); correct it") from None
    try:
        return PublishedScores.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{path}: {place}: {first['msg']}; correct it") from None
