"""The release's prompts: which they are, and found again among the rows by their hashes."""

import hashlib
import json
import sys
from pathlib import Path

import pytest
import yaml

from steps.benchmarks import release_prompts as command
from steps.benchmarks.release_prompts import read_hashes
from steps.config.prompts import RELEASE_PROMPTS
from steps.errors import UserError
from steps.groups.schema import read_groups
from tests.conftest import ROOT
from tests.hub import COMMIT, Repository, card, parquet, serve


def digest(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()[:16]


def row(prompt: str, number: int) -> dict:
    return {
        "prompt": prompt,
        "chosen": f"right {number}",
        "chosen_model": "human",
        "rejected": "",  # nothing reads it
        "rejected_model": "unknown",
        "subset": "hep-cpp",
        "id": number,
    }


ROWS = [row(prompt, k) for k, prompt in enumerate(["Wie?", "Wo?", "Wie?", "Wann?", "Où ?"])]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An experiment, the rows and the hashes: 'gone' is among them, 'Wann?' is in both splits."""
    content = yaml.safe_load((ROOT / "config/tiny.yaml").read_text())
    content["training"]["learning_rate"] = 3e-3  # plain YAML reads 3e-3 as a string
    sampling = {"pairs": {"samples": 2, "max_new_tokens": 4}}
    content["policy"] = {"prompts": {"source": "release"}, "sampling": sampling}
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/raw.parquet").write_bytes(parquet(ROWS))
    return tmp_path


def write_hashes(folder: Path, **splits: list[str]) -> None:
    lines = [f"{split}\t{digest(p)}" for split, prompts in splits.items() for p in prompts]
    (folder / "hashes.tsv").write_text("\n".join(["# head", "split\tsha256_16", *lines, ""]))


def find(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--experiment", folder / "experiment.yaml", "--raw", folder / "raw"]
    arguments += ["--hashes", folder / "hashes.tsv", "--output", folder / "prompts"]
    arguments += ["--card", folder / "card.json"]
    monkeypatch.setattr(sys, "argv", ["release_prompts", *map(str, arguments)])
    command.main()


def test_the_shipped_hashes_are_the_release() -> None:
    hashes = read_hashes(ROOT / RELEASE_PROMPTS)
    assert {split: len(set(each)) for split, each in hashes.items()} == {"train": 3182, "test": 474}
    assert [len(each) for each in hashes.values()] == [474, 3182]  # none twice
    assert len(set(hashes["train"]) & set(hashes["test"])) == 217


def test_from_the_hub_to_groups(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    head = card(default={"raw": "data/raw-*", "filtered": "data/filtered-*"})
    files = {"README.md": head, "data/raw-0.parquet": parquet(ROWS)}
    files["data/filtered-0.parquet"] = parquet(ROWS[:1])
    (folder / "raw/raw.parquet").unlink()
    with serve() as hub:
        hub.repositories["datasets/allenai/reward-bench"] = Repository(files)
        given = ["--experiment", str(folder / "experiment.yaml"), "--output", str(folder / "raw")]
        result = hub.run(folder, "steps.download", "prompts", *given)
    assert result.returncode == 0, result.stderr
    assert f"to pin it, set policy.prompts.revision: {COMMIT}" in result.stdout

    write_hashes(folder, train=["Où ?", "Wie?", "Wann?"], test=["Wann?"])
    find(folder, monkeypatch)
    groups = read_groups(folder / "prompts/train.parquet")
    assert [group.prompt for group in groups] == ["Où ?", "Wie?", "Wann?"]
    assert [group.group_id for group in groups] == [digest(group.prompt) for group in groups]
    assert [g.prompt for g in read_groups(folder / "prompts/test.parquet")] == ["Wann?"]
    assert "train: 3 of 3 prompts of the release" in capsys.readouterr().err
    assert (folder / "card.json").is_file()


def test_missing_prompts_are_reported_or_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    write_hashes(folder, train=["Wie?", "Wo?", "gone"], test=["Wann?"])
    with pytest.raises(UserError, match="only 2 of the release's 3 prompts for 'train' are there"):
        find(folder, monkeypatch)
    assert not (folder / "prompts").exists()
    path = folder / "experiment.yaml"
    content = yaml.safe_load(path.read_text())
    content["policy"]["prompts"]["least_share"] = 0.6
    path.write_text(yaml.safe_dump(content))
    find(folder, monkeypatch)
    report = json.loads((folder / "prompts/report.json").read_text())
    assert report["train"] == {"wanted": 3, "found": 2, "missing": [digest("gone")]}
    assert len(read_groups(folder / "prompts/train.parquet")) == 2
