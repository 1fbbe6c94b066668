"""What all parts of an experiment file have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Names become parts of paths and of commands.
NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_-]*$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]


# Where an entry is a text or a section: what pydantic puts behind the entry's name in an error.
SECTION_TAG = "[section]"


class Section(BaseModel):
    """A part of the file. An unknown key or a value of the wrong type is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


# The full hash of a commit of the hub: a branch or a tag may move, a commit cannot.
COMMIT_PATTERN = r"^[0-9a-f]{40}$"
Commit = Annotated[str, Field(pattern=COMMIT_PATTERN)]
