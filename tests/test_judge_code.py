"""A judge of the hub whose code cannot be imported stops the run before anything is sampled."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.hub import COMMIT, Hub, Repository, serve
from tests.pipeline_runs import fresh_tree, run
from tests.test_hub import check_failure, download, experiment, model

KEY = "policy.evaluation.judges.theirs"
# As a public reward model of 2024 does: the name is gone from transformers 5.
GONE = "from transformers.models.llama.modeling_llama import LLAMA_INPUTS_DOCSTRING"
CLASS = "from transformers import LlamaForSequenceClassification as Reward"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve() as running:
        yield running


def judge(hub: Hub, backbone: Path, code: str, **config) -> None:
    """Serve a reward model with a class of its own, at the only commit of ``some/judge``."""
    made = model(backbone)
    described = json.loads(made.files["config.json"])
    described |= {"auto_map": {"AutoModelForSequenceClassification": "own.Reward"}}
    # Real ones name where they were made, which is not where their code is taken from.
    described |= {"_name_or_path": "else/where", "transformers_version": "4.43.3"} | config
    made.files["config.json"] = json.dumps(described).encode()
    made.files["own.py"] = code.encode()
    hub.repositories["models/some/judge"] = Repository(made.files)


def policy(trust: bool = True) -> dict:
    theirs = {"source": "hub", "id": "some/judge", "revision": COMMIT, "trust_remote_code": trust}
    sampling = {"policies": {"samples": 1, "max_new_tokens": 8}}
    judges = {"judges": {"theirs": theirs}}
    return {"held_out": "out_of_distribution", "sampling": sampling, "evaluation": judges}


def check(hub: Hub, tmp_path: Path, trust: bool = True):
    """Look at the judge as the workflow does when it starts."""
    path = experiment(tmp_path, policy=policy(trust))
    arguments = ["check", "--experiment", str(path), "--role", KEY]
    return hub.run(tmp_path, "steps.download", *arguments)


WORDS = [
    f"{KEY}: the model 'some/judge' (revision {COMMIT}) cannot be loaded with transformers",
    "cannot import name 'LLAMA_INPUTS_DOCSTRING'",
    f"give another model as {KEY}.id, or use an environment with the transformers",
    "config.json names 4.43.3",
]


def test_a_judge_whose_code_cannot_be_imported_is_named_without_its_weights(
    hub: Hub, tmp_path: Path, backbone: Path
) -> None:
    judge(hub, backbone, f"{GONE}\n{CLASS}")
    check_failure(check(hub, tmp_path), tmp_path, WORDS)
    result = download(hub, tmp_path, "model", "--role", KEY, policy=policy())
    check_failure(result, tmp_path, WORDS)
    assert not any("safetensors" in request for request in hub.asked)


def test_a_judge_whose_code_can_be_imported_passes(
    hub: Hub, tmp_path: Path, backbone: Path
) -> None:
    judge(hub, backbone, CLASS)
    result = download(hub, tmp_path, "model", "--role", KEY, policy=policy())
    assert result.returncode == 0, result.stderr
    assert not any("else/where" in request for request in hub.asked)
    assert (tmp_path / "out/own.py").read_text() == CLASS


def test_no_code_runs_without_consent(hub: Hub, tmp_path: Path, backbone: Path) -> None:
    """Neither that of the judge, nor, with consent to it, that of another repository."""
    ran = tmp_path / "ran"
    leaves = f"open({str(ran)!r}, 'w').close()\n{CLASS}"
    judge(hub, backbone, leaves)
    assert check(hub, tmp_path, trust=False).returncode == 0  # transformers has a class of its own
    hub.repositories["models/other/code"] = Repository({"own.py": leaves.encode()})
    judge(hub, backbone, CLASS, auto_map={"AutoConfig": "other/code--own.Reward"})
    check_failure(check(hub, tmp_path), tmp_path, [KEY, "code from a repository of others"])
    assert not ran.exists()
    assert not any("other/code" in request for request in hub.asked)
    judge(hub, backbone, leaves)
    assert check(hub, tmp_path).returncode == 0
    assert ran.exists()  # so the file tells


def test_the_workflow_stops_before_its_first_job(hub: Hub, tmp_path: Path, backbone: Path) -> None:
    judge(hub, backbone, f"{GONE}\n{CLASS}")
    tree = fresh_tree(tmp_path / "tree")
    path = tree / "config/tiny_policy.yaml"
    content = yaml.safe_load(path.read_text())
    content["policy"]["evaluation"]["judges"] = policy()["evaluation"]["judges"]
    path.write_text(yaml.safe_dump(content))
    environment = hub.environment(tmp_path)
    assert run(tree, "-n", experiment="tiny_policy", environment=environment).returncode == 0
    assert not hub.asked  # a dry run shows the plan without it
    result = run(tree, experiment="tiny_policy", environment=environment)
    assert result.returncode != 0
    for word in WORDS:
        assert word in " ".join(result.stderr.split()), result.stderr
    assert not (tree / "results").exists() and not (tree / "resources").exists()
