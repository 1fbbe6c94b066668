"""A model of the Hugging Face hub: safetensors, configuration and tokenizer only."""

from functools import partial
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

from steps.config.backbones import HubBackbone, HubModel, Limited
from steps.download.hub_errors import hub_errors
from steps.files import atomic_path, remove
from steps.remote_code import LANGUAGE_MODEL, REWARD_MODEL, refuse_remote_code

PATTERNS = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "*.txt"]


def download_hub(model: HubModel, key: str, output: Path) -> str:
    """Write the model folder ``output``; return the commit that was fetched.

    Args:
        key: of the model in the experiment file.
    Raises:
        UserError: no such model or revision, no access, no network, or the model cannot be loaded
            without code that comes with it, to which there is no consent.
    """
    name = f"the model '{model.id}' (revision {model.revision or 'main'})"
    patterns = PATTERNS + (["*.py"] if model.trust_remote_code else [])
    instead = "run this where the hub can be reached and copy the folder"
    if isinstance(model, HubBackbone):
        instead = "give a folder in its place, `{source: local, path: ...}`"
    with atomic_path(output) as temporary, hub_errors(name, instead):
        # The files of one commit, though the branch may move meanwhile.
        commit = HfApi().model_info(model.id, revision=model.revision).sha
        fetch = partial(snapshot_download, model.id, revision=commit, local_dir=temporary)
        if not model.trust_remote_code:
            # Before the weights, which may take hours.
            fetch(allow_patterns=["config.json"])
            kind = REWARD_MODEL if isinstance(model, Limited) else LANGUAGE_MODEL
            consent = f"set {key}.trust_remote_code: true with {key}.revision: {commit}"
            refuse_remote_code(temporary, kind, name, consent)
        fetch(allow_patterns=patterns)
        remove(temporary / ".cache")
    return commit
