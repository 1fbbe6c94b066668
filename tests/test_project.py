"""Promises about the project's own files."""

import json
import re
import subprocess
import sys

import pytest
import yaml

from steps.config import Experiment
from tests.conftest import ROOT

SCHEMA = ROOT / "workflow/schemas/experiment.schema.json"
STAGES = [
    *("plan", "download", "groups", "pairs", "cache", "train", "score", "evaluate", "report"),
    *("benchmarks", "export"),
    *("provenance", "dvc"),
    *("sample", "preferences", "policy", "report.policies", "best_of_n"),
]


def pins(lines: list[str]) -> dict[str, str]:
    entries = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return dict(entry.split("==", 1) for entry in entries)


def test_conda_and_pip_pin_the_same_versions() -> None:
    lock = pins((ROOT / "requirements.lock").read_text().splitlines())
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (listed,) = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    assert pins(listed) == lock
    assert lock["torch"] == "2.13.0"
    assert "python=3.11" in environment["dependencies"]


def test_declared_dependencies_are_locked() -> None:
    lock = {
        name.lower().replace("_", "-")
        for name in pins((ROOT / "requirements.lock").read_text().splitlines())
    }
    text = (ROOT / "pyproject.toml").read_text()
    block = re.search(r"dependencies = \[(.*?)\n\]", text, re.S)[1]
    declared = {re.split(r"[\[=]", name)[0].lower() for name in re.findall(r'"(.+?)"', block)}
    assert declared <= lock


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_explains_itself(stage: str) -> None:
    command = [sys.executable, "-m", f"steps.{stage}", "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert f"python -m steps.{stage}" in result.stdout


def test_no_text_names_the_optional_test_data_but_its_helper() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    word = "../" + "shared"
    naming = [
        name
        for name in tracked
        if (ROOT / name).is_file() and word in (ROOT / name).read_text(errors="ignore")
    ]
    assert naming in ([], ["tests/reference_data.py"])


def test_the_written_schema_is_that_of_the_code() -> None:
    """Editors read it; `python -m tests.test_project` writes it anew."""
    assert json.loads(SCHEMA.read_text()) == Experiment.model_json_schema()


if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(Experiment.model_json_schema(), indent=2, sort_keys=True) + "\n")
