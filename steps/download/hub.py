"""A model of the Hugging Face hub: safetensors, configuration and tokenizer only."""

from pathlib import Path

from huggingface_hub import snapshot_download

from steps.config.backbones import HubBackbone, HubModel
from steps.download.hub_errors import hub_errors
from steps.files import atomic_path, remove

PATTERNS = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "*.txt"]


def download_hub(model: HubModel, output: Path) -> None:
    """Write the model folder ``output``; a revision, where given, is fetched exactly.

    Raises:
        UserError: no such model or revision, no access, or no network.
    """
    name = f"the model '{model.id}' (revision {model.revision or 'main'})"
    patterns = PATTERNS + (["*.py"] if model.trust_remote_code else [])
    instead = "run this where the hub can be reached and copy the folder"
    if isinstance(model, HubBackbone):
        instead = "use `backbone: {source: local, path: ...}`"
    with atomic_path(output) as temporary, hub_errors(name, instead):
        snapshot_download(
            model.id,
            revision=model.revision,
            local_dir=temporary,
            allow_patterns=patterns,
        )
        remove(temporary / ".cache")
