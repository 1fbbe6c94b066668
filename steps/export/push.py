"""``python -m steps.export push``: upload an exported model to the Hugging Face hub.

Without --upload nothing leaves this machine: the files, their sizes and the model card are shown.
The access token is that of `hf auth login` or HF_TOKEN; it is neither read nor shown here.
"""

import argparse
from pathlib import Path

import httpx2
from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError
from huggingface_hub.utils import validate_repo_id

from steps.errors import UserError
from steps.export import CARD, PROVENANCE, WEIGHTS
from steps.files import read_json, sha256


def push_main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m steps.export push",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of `steps.export`")
    parser.add_argument("--repo", required=True, help="user/name on the hub")
    parser.add_argument("--private", action="store_true", help="if the repository is made now")
    parser.add_argument("--upload", action="store_true", help="upload; without it a dry run")
    arguments = parser.parse_args(words)

    files = check_export(arguments.model, arguments.repo)
    if arguments.upload:
        print(upload(arguments.model, arguments.repo, arguments.private))
    else:
        print(dry_run(files, arguments.repo))


def check_export(model: Path, repo: str) -> list[Path]:
    """Return the files to upload.

    Raises:
        UserError: this is no whole export, or no name of a repository.
    """
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UserError(f"--repo: {error}; give user/name") from None
    if repo.count("/") != 1:
        raise UserError(f"--repo: '{repo}' names no owner; give user/name")
    missing = [name for name in (WEIGHTS, CARD, PROVENANCE) if not (model / name).is_file()]
    if missing:
        raise UserError(f"{model} has no {missing[0]}; make it with `python -m steps.export` first")
    if sha256(model / WEIGHTS) != read_json(model / PROVENANCE).get("weights"):
        raise UserError(
            f"{model / WEIGHTS} is not what {PROVENANCE} describes; export the model again"
        )
    return sorted(p for p in model.rglob("*") if p.is_file() and not p.name.startswith("."))


def dry_run(files: list[Path], repo: str) -> str:
    """Return what an upload would do, and the model card."""
    rows = [f"{file.stat().st_size / 1e6:12,.2f} MB  {file.name}" for file in files]
    card = next(file for file in files if file.name == CARD).read_text(encoding="utf-8")
    head = f"Dry run: these {len(files)} files would go to {repo}; --upload uploads them."
    return "\n".join([head, *rows, "", "The model card:", "", card])


def upload(model: Path, repo: str, private: bool) -> str:
    """Upload the folder in one commit, making the repository where there is none; return its URL.

    Raises:
        UserError: not logged in, not allowed, or no network.
    """
    api = HfApi()
    try:
        api.whoami()
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo,
            folder_path=model,
            ignore_patterns=[".*"],
            commit_message="Upload reward model",
        )
    except LocalTokenNotFoundError:
        raise UserError(
            f"cannot upload to {repo}: not logged in; run `hf auth login`, or set HF_TOKEN"
        ) from None
    except (httpx2.ConnectError, httpx2.TimeoutException):
        raise UserError(
            f"cannot upload to {repo}: the hub is out of reach; check the network and start again"
        ) from None
    except httpx2.HTTPError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"cannot upload to {repo} ({reason}); check the name and the rights of the token"
        ) from None
    return commit.commit_url
