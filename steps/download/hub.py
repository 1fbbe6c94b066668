"""A model of the Hugging Face hub: safetensors, configuration and tokenizer only."""

from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

from steps.config.backbones import HubBackbone, HubModel
from steps.download.hub_errors import hub_errors
from steps.files import atomic_path, remove

PATTERNS = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "*.txt"]


def download_hub(model: HubModel, output: Path) -> str:
    """Write the model folder ``output``; return the commit that was fetched.

    Raises:
        UserError: no such model or revision, no access, or no network.
    """
    name = f"the model '{model.id}' (revision {model.revision or 'main'})"
    patterns = PATTERNS + (["*.py"] if model.trust_remote_code else [])
    instead = "run this where the hub can be reached and copy the folder"
    if isinstance(model, HubBackbone):
        instead = "give a folder in its place, `{source: local, path: ...}`"
    with atomic_path(output) as temporary, hub_errors(name, instead):
        # The files of one commit, though the branch may move meanwhile.
        commit = HfApi().model_info(model.id, revision=model.revision).sha
        snapshot_download(
            model.id,
            revision=commit,
            local_dir=temporary,
            allow_patterns=patterns,
        )
        remove(temporary / ".cache")
    return commit
