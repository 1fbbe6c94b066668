"""The files of a model that is to score: a local folder, or one commit of a hub repository."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download

from steps.download.hub import PATTERNS
from steps.download.hub_errors import hub_errors
from steps.errors import UserError
from steps.files import file_hashes, folder_hash, make_again, read_json
from steps.score.schema import Origin

FACTS = "reward_model.json"
CODE = "*.py"


@dataclass(frozen=True)
class ModelFiles:
    """A model's files, which are there.

    Attributes:
        name: the hub's id; of a model of this pipeline its method and seed; else the folder's name.
        sha256: hash of all files that loading reads.
        commit: that was fetched from the hub; None of a local folder.
        facts: of reward_model.json; None where it is no model of this pipeline.
    """

    folder: Path
    name: str
    sha256: str
    commit: str | None = None
    facts: dict[str, Any] | None = None

    @property
    def origin(self) -> Origin:
        """What a file of scores says of the model."""
        facts = self.facts or {}
        return Origin(self.name, self.sha256, facts.get("method"), facts.get("seed"))


def find_model(
    source: str | Path, revision: str | None = None, trust_remote_code: bool = False
) -> ModelFiles:
    """Return the files of a local folder, or fetch those of a hub id.

    Args:
        revision: branch, tag or commit on the hub.
        trust_remote_code: fetch the code that comes with the model too.
    Raises:
        UserError: there is no such model, it cannot be fetched, or its weights are not those that
            were saved.
    """
    if Path(source).is_dir():
        if revision is not None:
            raise UserError(f"{source} is a local folder, which has no revision; leave it out")
        return _describe(Path(source))
    if not re.fullmatch(r"\w[\w.-]*/[\w.-]+", str(source)):
        if "/" in str(source):  # no id has that form
            raise UserError(f"there is no folder {source}; train the model or correct the path")
        raise UserError(f"{source} is neither a folder nor an id of the hub; correct it")
    if trust_remote_code and not re.fullmatch("[0-9a-f]{40}", revision or ""):
        raise UserError(
            f"the code that comes with {source} may run only at a commit that was read; give its "
            "full hash as --revision"
        )
    folder = _fetch(str(source), revision, trust_remote_code)
    # The client names the folder after the commit.
    return replace(_describe(folder), name=str(source), commit=folder.name)


def _describe(folder: Path) -> ModelFiles:
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no model (no config.json); give the folder of one")
    # What loading reads; other tools may have put more into the folder.
    hashes = file_hashes(folder, [*PATTERNS, CODE])
    path = folder / FACTS
    if not path.is_file():
        return ModelFiles(folder, folder.resolve().name, folder_hash(hashes))
    facts = read_json(path)
    wanted = {"method", "seed"}
    if not isinstance(facts, dict) or not wanted <= facts.keys():
        raise UserError(f"{path} does not name {', '.join(sorted(wanted))}; train the model again")
    # Models that were saved before the hashes were noted have none to compare.
    for name, digest in facts.get("weights", {}).items():
        if hashes.get(name) != digest:
            raise UserError(
                f"{folder / name} is not the file that {FACTS} was written with; "
                f"{make_again(folder / name)}, or copy the model again whole"
            )
    name = f"{facts['method']} seed {facts['seed']}"
    return ModelFiles(folder, name, folder_hash(hashes), facts=facts)


def _fetch(model: str, revision: str | None, trust_remote_code: bool) -> Path:
    patterns = [*PATTERNS, CODE] if trust_remote_code else PATTERNS
    what = f"the model '{model}' (revision {revision or 'main'})"
    with hub_errors(what, "give the folder of a copy"):
        return Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
