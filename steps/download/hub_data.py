"""Data sets of the Hugging Face hub, as files that `python -m steps.groups prepare` reads.

Beside the data stands ``source.json``: the repository and the commit that was fetched.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download

from steps.config.hub_data import HubProblems
from steps.download.hub_errors import hub_errors
from steps.errors import UserError
from steps.files import atomic_path, remove, write_json
from steps.groups.raw import PROBLEMS_FILE, SOURCE_FILE

INSTEAD = "give your own data with `data: {source: files, ...}`"


@dataclass(frozen=True)
class HubTable:
    """A set that `datasets.load_dataset` reads, and the splits and columns of it that are kept."""

    id: str
    configuration: str
    splits: tuple[str, ...]
    columns: tuple[str, ...]


TABLES = {
    "unified_feedback": HubTable(
        "llm-blender/Unified-Feedback",
        "all",
        ("train", "val"),
        ("source", "conv_A", "conv_B", "conv_A_rating", "conv_B_rating"),
    ),
    "skywork": HubTable(
        "Skywork/Skywork-Reward-Preference-80K-v0.2",
        "default",
        ("train",),
        ("source", "chosen", "rejected"),
    ),
}


def download_table(
    table: HubTable, revision: str | None, output: Path, instead: str = INSTEAD
) -> str:
    """Write one parquet file per split into the folder ``output``; return the commit.

    Args:
        instead: what to do without the hub, for the errors.
    Raises:
        UserError: no such set or revision, no access, no network, or another layout.
    """
    name = f"the data set '{table.id}' (revision {revision or 'main'})"
    with atomic_path(output) as folder, hub_errors(name, instead):
        commit = _commit(table.id, revision)
        _write_splits(table, commit, folder)
        write_json(folder / SOURCE_FILE, asdict(table) | {"commit": commit})
    return commit


def download_problems(problems: HubProblems, output: Path) -> str:
    """Write a file of problems into the folder ``output``; return the commit.

    It is fetched as it is: PRM800K's rows do not share one type per key, as tables must.

    Raises:
        UserError: no such set, revision or file, no access, or no network.
    """
    name = f"'{problems.file}' of '{problems.id}' (revision {problems.revision or 'main'})"
    instead = "give a file with `problems: {source: local, path: ...}`"
    with atomic_path(output) as folder, hub_errors(name, instead):
        commit = _commit(problems.id, problems.revision)
        fetched = hf_hub_download(
            problems.id, problems.file, repo_type="dataset", revision=commit, local_dir=folder
        )
        Path(fetched).rename(folder / PROBLEMS_FILE)
        for path in folder.iterdir():
            if path.name != PROBLEMS_FILE:
                remove(path)
        source = {"id": problems.id, "file": problems.file, "commit": commit}
        write_json(folder / SOURCE_FILE, source)
    return commit


def _commit(repository: str, revision: str | None) -> str:
    """Return the commit that ``revision``, or the main branch, stands at."""
    return HfApi().dataset_info(repository, revision=revision).sha


def _write_splits(table: HubTable, commit: str, folder: Path) -> None:
    # Imported late: it reads its settings from the environment and takes a second.
    from datasets import load_dataset

    splits = load_dataset(table.id, table.configuration, revision=commit)
    folder.mkdir()
    for split in table.splits:
        if split not in splits:
            raise UserError(
                f"'{table.id}' at commit {commit} has no split '{split}' (it has: "
                f"{', '.join(splits)}); pin a revision that has it"
            )
        missing = [c for c in table.columns if c not in splits[split].column_names]
        if missing:
            raise UserError(
                f"'{table.id}' at commit {commit} has no column '{missing[0]}' in the split "
                f"'{split}' (it has: {', '.join(splits[split].column_names)}); pin a revision "
                "that has it"
            )
        kept = splits[split].select_columns(list(table.columns))
        kept.to_parquet(folder / f"{split}.parquet")
