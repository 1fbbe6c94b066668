"""A backbone of the Hugging Face hub: safetensors, configuration and tokenizer only."""

from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

from steps.config.schema import HubBackbone
from steps.download.hub_errors import hub_errors
from steps.files import atomic_path, remove

PATTERNS = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "*.txt"]


def download_hub(backbone: HubBackbone, output: Path) -> str:
    """Write the model folder ``output``; return the commit that was fetched.

    Raises:
        UserError: no such model or revision, no access, or no network.
    """
    name = f"the model '{backbone.id}' (revision {backbone.revision or 'main'})"
    patterns = PATTERNS + (["*.py"] if backbone.trust_remote_code else [])
    with (
        atomic_path(output) as temporary,
        hub_errors(name, "use `backbone: {source: local, path: ...}`"),
    ):
        # The files of one commit, though the branch may move meanwhile.
        commit = HfApi().model_info(backbone.id, revision=backbone.revision).sha
        snapshot_download(
            backbone.id,
            revision=commit,
            local_dir=temporary,
            allow_patterns=patterns,
        )
        remove(temporary / ".cache")
    return commit
