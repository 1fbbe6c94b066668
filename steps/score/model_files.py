"""The files of a model that is to score: a local folder, or one commit of a hub repository."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download

from steps.download.hub import PATTERNS
from steps.download.hub_errors import hub_errors
from steps.errors import UserError
from steps.files import read_json, sha256

FACTS = "reward_model.json"


@dataclass(frozen=True)
class ModelFiles:
    """A model's files, which are there.

    Attributes:
        name: the hub's id; of a model of this pipeline its method and seed; else the folder's name.
        sha256: hash of all files.
        commit: that was fetched from the hub; None of a local folder.
        facts: of reward_model.json; None where it is no model of this pipeline.
    """

    folder: Path
    name: str
    sha256: str
    commit: str | None
    facts: dict[str, Any] | None


def find_model(source: str | Path, revision: str | None, trust_remote_code: bool) -> ModelFiles:
    """Return the files of a local folder, or fetch those of a hub id.

    Args:
        revision: branch, tag or commit on the hub.
        trust_remote_code: fetch the code that comes with the model too.
    Raises:
        UserError: there is no such model, it cannot be fetched, or its weights are not those that
            were saved.
    """
    folder = Path(source)
    if folder.is_dir():
        if revision is not None:
            raise UserError(f"{folder} is a local folder, which has no revision; leave it out")
        facts = read_facts(folder)
        name = folder.resolve().name
        if facts is not None:
            name = f"{facts['method']} seed {facts['seed']}"
        return ModelFiles(folder, name, sha256(folder), None, facts)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)):
        raise UserError(f"{source} is neither a folder nor an id of the hub; correct it")
    if trust_remote_code and not re.fullmatch("[0-9a-f]{40}", revision or ""):
        raise UserError(
            f"the code that comes with {source} may run only at a commit that was read; give its "
            "full hash as --revision"
        )
    return _fetch(str(source), revision, trust_remote_code)


def _fetch(model: str, revision: str | None, trust_remote_code: bool) -> ModelFiles:
    patterns = PATTERNS + (["*.py"] if trust_remote_code else [])
    with hub_errors(
        f"the model '{model}' (revision {revision or 'main'})", "give the folder of a copy"
    ):
        folder = Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    # The client names the folder after the commit.
    return ModelFiles(folder, model, sha256(folder), folder.name, None)


def read_facts(folder: Path) -> dict[str, Any] | None:
    """Read what the train step noted beside the weights; None where it made no such note.

    Raises:
        UserError: the note is damaged.
    """
    path = folder / FACTS
    if not path.is_file():
        return None
    facts = read_json(path)
    wanted = {"method", "seed"}
    if not isinstance(facts, dict) or not wanted <= facts.keys():
        raise UserError(f"{path} does not name {', '.join(sorted(wanted))}; train the model again")
    return facts
