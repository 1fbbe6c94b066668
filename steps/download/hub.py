"""A backbone of the Hugging Face hub: safetensors, configuration and tokenizer only."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

from steps.config.schema import HubBackbone
from steps.errors import UserError
from steps.files import atomic_path, remove

PATTERNS = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "*.txt"]


def download_hub(backbone: HubBackbone, output: Path) -> None:
    """Write the model folder ``output``; a revision, where given, is fetched exactly.

    Raises:
        UserError: no such model or revision, no access, or no network.
    """
    name = f"'{backbone.id}' (revision {backbone.revision or 'main'})"
    patterns = PATTERNS + (["*.py"] if backbone.trust_remote_code else [])
    with atomic_path(output) as temporary:
        try:
            snapshot_download(
                backbone.id,
                revision=backbone.revision,
                local_dir=temporary,
                allow_patterns=patterns,
            )
        except GatedRepoError:
            raise UserError(
                f"the model {name} is gated; accept its license on the hub and log in with "
                "`hf auth login`"
            ) from None
        except LocalEntryNotFoundError:
            raise UserError(
                f"cannot reach the hub to fetch {name}; check the network, or use "
                "`backbone: {source: local, path: ...}`"
            ) from None
        except (HfHubHTTPError, ValueError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"cannot fetch the model {name} from the hub: {reason}") from None
        remove(temporary / ".cache")
