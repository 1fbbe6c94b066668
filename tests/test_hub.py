"""Downloads from the hub, by the real clients against a hub on the loopback."""

import json
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from steps.download.hub_data import TABLES
from steps.files import sha256
from steps.groups.__main__ import main as groups_main
from tests.conftest import ROOT
from tests.hub import COMMIT, Hub, Repository, card, parquet, serve

UF = "llm-blender/Unified-Feedback"
SKYWORK = "Skywork/Skywork-Reward-Preference-80K-v0.2"
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
# The columns of the real set's card.
UF_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("conv_A", MESSAGES),
        ("conv_B", MESSAGES),
        ("conv_A_rating", pa.float32()),
        ("conv_B_rating", pa.float32()),
        ("num_turns", pa.int32()),
        ("source", pa.string()),
    ]
)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serve() as running:
        yield running


@pytest.fixture(autouse=True)
def _empty(hub: Hub) -> None:
    hub.repositories.clear()
    hub.asked.clear()


def conversation(prompt: str, *texts: str) -> list[dict]:
    roles = ("assistant", "user")
    turns = [{"role": roles[k % 2], "content": text} for k, text in enumerate(texts)]
    return [{"role": "user", "content": prompt}, *turns]


def uf_rows(split: str) -> list[dict]:
    """Every third row has equal ratings; the prompt of row 4 stands in both splits."""
    return [
        {
            "id": str(k),
            "conv_A": conversation("shared" if k == 4 else f"{split} question {k}", f"yes {k}"),
            "conv_B": conversation("shared" if k == 4 else f"{split} question {k}", f"no {k}"),
            "conv_A_rating": float(k % 3),
            "conv_B_rating": 0.0,
            "num_turns": 1,
            "source": "openai/summarize_from_feedback(comparisons)" if k == 1 else "ultrachat",
        }
        for k in range(9)
    ]


def unified_feedback() -> Repository:
    head = card(
        all={"train": "all/train-*", "val": "all/val-*"},
        Nectar={"train": "Nectar/train-*"},
    )
    train, val = uf_rows("train"), uf_rows("val")
    return Repository(
        {
            "README.md": head,
            "Nectar/train-00000-of-00001.parquet": parquet(train[:1], UF_SCHEMA),
            "all/train-00000-of-00002.parquet": parquet(train[:5], UF_SCHEMA),
            "all/train-00001-of-00002.parquet": parquet(train[5:], UF_SCHEMA),
            "all/val-00000-of-00001.parquet": parquet(val, UF_SCHEMA),
        }
    )


def skywork() -> Repository:
    rows = [
        {
            "chosen": conversation(f"Skywork question {k}", f"good {k}"),
            "rejected": conversation(f"Skywork question {k}", f"bad {k}"),
            "source": "offsetbias",
        }
        for k in range(21)
    ]
    head = card(default={"train": "data/train-*"})
    return Repository({"README.md": head, "data/train-00000-of-00001.parquet": parquet(rows)})


def experiment(tmp_path: Path, **changes) -> Path:
    content = yaml.safe_load((ROOT / "config/tiny.yaml").read_text())
    content["training"]["learning_rate"] = 3e-3  # plain YAML reads 3e-3 as a string
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(content | changes))
    return path


def download(hub: Hub, tmp_path: Path, what: str, *options: str, **changes):
    """Run the download of one set, or of a model, into ``tmp_path/out``."""
    arguments = ["model"] if what == "model" else ["data", "--set", what]
    arguments += ["--experiment", str(experiment(tmp_path, **changes))]
    arguments += ["--output", str(tmp_path / "out"), "--card", str(tmp_path / "card.json")]
    return hub.run(tmp_path, "steps.download", *arguments, *options)


def prepare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *raw: Path) -> dict:
    """Run `prepare` on what was downloaded; return its counts."""
    command = ["groups", "prepare", "--experiment", str(tmp_path / "experiment.yaml"), "--raw"]
    output = tmp_path / "prepared"
    monkeypatch.setattr(sys, "argv", [*command, *map(str, raw), "--output", str(output)])
    groups_main()
    return json.loads((output / "preparation.json").read_text())


def test_unified_feedback_from_the_hub_to_groups(hub: Hub, tmp_path: Path, monkeypatch) -> None:
    hub.repositories[f"datasets/{UF}"] = unified_feedback()
    data = {"source": "unified_feedback", "every": 2}
    result = download(hub, tmp_path, "unified_feedback", data=data)
    assert result.returncode == 0, result.stderr
    assert f"set data.revision: {COMMIT}" in result.stdout
    out = tmp_path / "out"
    assert {p.name for p in out.iterdir()} == {"train.parquet", "val.parquet", "source.json"}
    assert pq.read_table(out / "train.parquet").num_rows == 9  # both files, nothing of Nectar
    facts = json.loads((tmp_path / "card.json").read_text())
    assert facts["revision"] == COMMIT
    assert facts["files"]["val.parquet"] == sha256(out / "val.parquet")
    # The main branch is looked up once; whatever is fetched is fetched at the commit.
    files = [request for request in hub.asked if "/resolve/" in request]
    assert files and all(f"/resolve/{COMMIT}/" in request for request in files)
    assert not [request for request in files if "Nectar" in request]

    facts = prepare(monkeypatch, tmp_path, out)
    assert facts["raw"][0]["commit"] == COMMIT
    # Unequal are rows 1, 2, 4, 5, 7, 8; every second of them is 1, 4, 7; 4 is in both splits.
    assert facts["sets"]["train"]["prompts"] == 3
    assert facts["sets"]["validation"]["prompts"] == 2
    assert facts["left_out"]["validation prompts that training has too"] == 1
    assert facts["left_out"]["rows with equal ratings (Unified-Feedback val)"] == 3


def test_a_pinned_revision_is_fetched_and_nothing_else(
    hub: Hub, tmp_path: Path, monkeypatch
) -> None:
    hub.repositories[f"datasets/{SKYWORK}"] = skywork()
    data = {"source": "skywork", "revision": COMMIT}
    result = download(hub, tmp_path, "skywork", data=data)
    assert result.returncode == 0, result.stderr
    assert "to pin it" not in result.stdout
    assert not [request for request in hub.asked if "/main" in request]
    facts = prepare(monkeypatch, tmp_path, tmp_path / "out")
    assert facts["sets"]["validation"]["prompts"] == 3  # rows 0, 10 and 20
    assert facts["sets"]["train"]["prompts"] == 18


def test_problems_are_fetched_as_the_file_they_are(hub: Hub, tmp_path: Path) -> None:
    content = b'{"question": {"problem": "1+1?", "ground_truth_answer": "2"}}\n'
    hub.repositories["datasets/some/PRM800K"] = Repository({"data/phase2_train.jsonl": content})
    problems = {"source": "hub", "id": "some/PRM800K", "file": "data/phase2_train.jsonl"}
    data = {"source": "prm800k", "problems": problems, "samples": "samples.jsonl"}
    result = download(hub, tmp_path, "prm800k", data=data)
    assert result.returncode == 0, result.stderr
    assert f"set data.problems.revision: {COMMIT}" in result.stdout
    out = tmp_path / "out"
    assert {p.name for p in out.iterdir()} == {"problems.jsonl", "source.json"}
    assert (out / "problems.jsonl").read_bytes() == content


def gated() -> Repository:
    repository = unified_feedback()
    repository.gated = 401
    return repository


def cut() -> Repository:
    repository = unified_feedback()
    repository.cut.add("all/train-00001-of-00002.parquet")
    return repository


def renamed() -> Repository:
    repository = unified_feedback()
    for name, data in repository.files.items():
        if name.startswith("all/"):
            rows = pq.read_table(BytesIO(data)).to_pylist()
            rows = [row | {"score_A": row.pop("conv_A_rating")} for row in rows]
            repository.files[name] = parquet(rows)
    return repository


def garbled() -> Repository:
    repository = unified_feedback()
    repository.files["all/val-00000-of-00001.parquet"] = b"no parquet"
    return repository


def without_split() -> Repository:
    repository = unified_feedback()
    repository.files["README.md"] = card(all={"train": "all/train-*"})
    return repository


@pytest.mark.parametrize(
    ("repository", "revision", "words"),
    [
        (gated, None, ["is gated", "hf auth login"]),
        (lambda: None, None, ["is not on the hub, or is private", "correct its id"]),
        (unified_feedback, "f" * 40, ["f" * 40, "no such revision"]),
        (renamed, None, ["no column 'conv_A_rating'", "score_A", "pin a revision"]),
        (without_split, None, ["no split 'val'", "train", "pin a revision"]),
        (garbled, None, ["cannot fetch", "Parquet", "start again"]),
        (cut, None, ["cannot fetch", "start again"]),
    ],
)
def test_trouble_with_a_set_is_one_sentence(
    hub: Hub, tmp_path: Path, repository, revision: str | None, words: list[str]
) -> None:
    made = repository()
    if made:
        hub.repositories[f"datasets/{UF}"] = made
    data = {"source": "unified_feedback", "every": 1, "revision": revision}
    result = download(hub, tmp_path, "unified_feedback", data=data)
    check_failure(result, tmp_path, [UF, *words])


def check_failure(result, tmp_path: Path, words: list[str]) -> None:
    assert result.returncode == 1
    (sentence,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in sentence
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"experiment.yaml", "hf"}


def model(backbone: Path) -> Repository:
    files = {path.name: path.read_bytes() for path in backbone.iterdir()}
    return Repository(files | {"pytorch_model.bin": b"not wanted", "README.md": b"# Card"})


def test_a_model_of_the_hub(hub: Hub, tmp_path: Path, backbone: Path) -> None:
    hub.repositories["models/some/tiny"] = model(backbone)
    result = download(hub, tmp_path, "model", backbone={"source": "hub", "id": "some/tiny"})
    assert result.returncode == 0, result.stderr
    assert sha256(tmp_path / "out") == sha256(backbone)  # neither the pickle nor the card
    assert f"at commit {COMMIT}; to pin it, set backbone.revision: {COMMIT}" in result.stdout
    assert json.loads((tmp_path / "card.json").read_text())["revision"] == COMMIT
    files = [request for request in hub.asked if "/resolve/" in request]
    assert files and all(f"/resolve/{COMMIT}/" in request for request in files)


def test_a_judge_of_the_hub_is_fetched_with_its_code_at_its_commit(
    hub: Hub, tmp_path: Path, backbone: Path
) -> None:
    hub.repositories["models/some/judge"] = model(backbone)
    hub.repositories["models/some/judge"].files["head.py"] = b"# its own class"
    own = {"source": "hub", "id": "some/judge", "trust_remote_code": True}
    sampling = {"policies": {"samples": 1, "max_new_tokens": 8}}
    policy = {"held_out": "out_of_distribution", "sampling": sampling}

    def fetch(**pinned: str):
        judges = {"judges": {"theirs": own | pinned}}
        role = ["--role", "policy.evaluation.judges.theirs"]
        return download(hub, tmp_path, "model", *role, policy=policy | {"evaluation": judges})

    check_failure(fetch(), tmp_path, ["judges.theirs.revision is not set"])
    result = fetch(revision=COMMIT)
    assert result.returncode == 0, result.stderr
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"head.py", *(path.name for path in backbone.iterdir())}


@pytest.mark.parametrize("known", [True, False])
def test_code_that_comes_with_a_judge_is_refused_only_where_it_is_needed(
    hub: Hub, tmp_path: Path, backbone: Path, known: bool
) -> None:
    repository = hub.repositories["models/some/judge"] = model(backbone)
    config = json.loads(repository.files["config.json"])
    config["auto_map"] = {"AutoConfig": "own.C", "AutoModelForSequenceClassification": "own.M"}
    config["model_type"] = config["model_type"] if known else "their-own"
    repository.files["config.json"] = json.dumps(config).encode()
    theirs = {"source": "hub", "id": "some/judge", "revision": COMMIT}
    policy = {"held_out": "out_of_distribution", "sampling": {}}
    policy["evaluation"] = {"judges": {"theirs": theirs}}
    key = "policy.evaluation.judges.theirs"
    result = download(hub, tmp_path, "model", "--role", key, policy=policy)
    if known:
        assert result.returncode == 0, result.stderr
        return
    check_failure(result, tmp_path, ["some/judge", f"set {key}.trust_remote_code: true with"])
    assert not any("safetensors" in request for request in hub.asked)


@pytest.mark.parametrize(
    ("closed", "words"),
    [(True, ["is gated", "hf auth login"]), (False, ["is not on the hub"])],
)
def test_trouble_with_a_model_is_one_sentence(
    hub: Hub, tmp_path: Path, backbone: Path, closed: bool, words: list[str]
) -> None:
    if closed:
        hub.repositories["models/some/tiny"] = model(backbone)
        hub.repositories["models/some/tiny"].gated = 403
    result = download(hub, tmp_path, "model", backbone={"source": "hub", "id": "some/tiny"})
    check_failure(result, tmp_path, ["some/tiny", *words])


@pytest.mark.parametrize("what", ["unified_feedback", "model"])
def test_a_hub_out_of_reach_is_one_sentence(tmp_path: Path, what: str) -> None:
    with serve() as gone:
        pass
    backbone = {"source": "hub", "id": "some/tiny"}
    data = {"source": "unified_feedback", "every": 1}
    result = download(gone, tmp_path, what, backbone=backbone, data=data)
    check_failure(result, tmp_path, ["cannot reach the hub", "check the network"])


def test_a_set_that_the_experiment_does_not_need_is_refused(hub: Hub, tmp_path: Path) -> None:
    result = download(hub, tmp_path, "skywork", data={"source": "unified_feedback", "every": 1})
    check_failure(result, tmp_path, ["--set skywork", "needs unified_feedback"])


def test_the_columns_that_are_kept_are_those_that_are_read() -> None:
    from steps.groups import skywork, unified_feedback

    assert TABLES["unified_feedback"].columns == unified_feedback.COLUMNS
    assert TABLES["skywork"].columns == skywork.COLUMNS
