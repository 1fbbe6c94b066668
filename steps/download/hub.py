"""A model of the Hugging Face hub: safetensors, configuration and tokenizer only."""

from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi, snapshot_download

from steps.config.backbones import HubBackbone, HubModel, Limited, model_folder
from steps.download.hub_errors import hub_errors
from steps.files import atomic_path, remove
from steps.remote_code import (
    LANGUAGE_MODEL,
    REWARD_MODEL,
    check_loadable,
    refuse_remote_code,
)

PATTERNS = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "*.txt"]
CODE = ["*.py"]


def download_hub(model: HubModel, key: str, output: Path) -> str:
    """Write the model folder ``output``; return the commit that was fetched.

    Args:
        key: of the model in the experiment file.
    Raises:
        UserError: no such model or revision, no access, no network, or the model cannot be loaded:
            not at all, or not without code that comes with it, to which there is no consent.
    """
    instead = "run this where the hub can be reached and copy the folder"
    if isinstance(model, HubBackbone):
        instead = "give a folder in its place, `{source: local, path: ...}`"
    with atomic_path(output) as temporary, hub_errors(_name(model), instead):
        # The files of one commit, though the branch may move meanwhile.
        commit = HfApi().model_info(model.id, revision=model.revision).sha
        # Before the weights, which may take hours.
        _check_description(model, key, commit)
        patterns = PATTERNS + (CODE if model.trust_remote_code else [])
        snapshot_download(model.id, revision=commit, local_dir=temporary, allow_patterns=patterns)
        remove(temporary / ".cache")
    return commit


def check_hub(model: HubModel, key: str) -> None:
    """Check that a model can be loaded, before hours are spent on what it is needed for.

    Its folder is looked at where it is there; else its configuration is fetched, and its code
    where there is consent to it.

    Args:
        key: of the model in the experiment file.
    """
    folder = model_folder(model)
    if folder.is_dir():
        _check_loadable(model, key, model.revision, folder)
        return
    instead = f"copy the model to {folder} from where it can be reached"
    with hub_errors(_name(model), instead):
        _check_description(model, key, model.revision)


def _name(model: HubModel) -> str:
    return f"the model '{model.id}' (revision {model.revision or 'main'})"


def _check_description(model: HubModel, key: str, commit: str | None) -> None:
    """Fetch what tells whether a model can be loaded, and look at it."""
    patterns = ["config.json"] + (CODE if model.trust_remote_code else [])
    with TemporaryDirectory() as parent:
        # transformers keeps a copy of the code under the folder's name: always the same one.
        folder = Path(parent) / model_folder(model).name
        snapshot_download(model.id, revision=commit, local_dir=folder, allow_patterns=patterns)
        _check_loadable(model, key, commit, folder)


def _check_loadable(model: HubModel, key: str, commit: str | None, folder: Path) -> None:
    is_reward_model = isinstance(model, Limited)
    if not model.trust_remote_code:
        kind = REWARD_MODEL if is_reward_model else LANGUAGE_MODEL
        consent = f"set {key}.trust_remote_code: true with {key}.revision: {commit}"
        refuse_remote_code(folder, kind, _name(model), consent)
    if is_reward_model:
        name, remedy = f"{key}: {_name(model)}", f"give another model as {key}.id"
        check_loadable(folder, model.trust_remote_code, name, remedy)
