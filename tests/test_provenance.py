"""The ancestry of an artefact, from cards that real runs of a made-up chain wrote."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from steps.errors import UserError
from steps.files import remove, sha256
from steps.provenance import RunCard
from steps.provenance.__main__ import main
from steps.provenance.ancestry import ancestry, hash_on_disk, read_steps
from steps.provenance.card import code_facts
from tests.conftest import ROOT

CARDS = Path("results/x/cards")


def write(path: str, text: str) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def run(step: str, inputs: list[Path], outputs: list[Path], card: Path) -> None:
    RunCard(step, {"key": step}, seed=3, path=card, inputs=inputs).write(outputs)


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """download -> groups, a folder -> two of its files are read -> a table; and a given file."""
    monkeypatch.chdir(tmp_path)
    raw = write("resources/champ/v0.json", "raw")
    run("download", [], [raw], Path("resources/champ/card.json"))
    train, test = write("results/x/groups/train", "train"), write("results/x/groups/test", "test")
    run("select", [raw], [train.parent], CARDS / "select.json")
    scores = write("results/x/scores/orm/test", "scores")
    run("score", [train, test], [scores], CARDS / "score.json")
    published = write("config/published.yaml", "theirs")
    table = write("results/x/tables/main.csv", "table")
    run("tables", [scores, published], [table.parent], CARDS / "tables.json")
    run("figures", [scores], [write("results/x/figures/a.png", "")], CARDS / "figures.json")
    hash_on_disk.cache_clear()
    return table


def steps_of(path: Path | str) -> list[str]:
    return [step.facts["step"] for step in ancestry(Path(path), read_steps()).steps]


def told(path: Path, monkeypatch, capsys) -> str:
    monkeypatch.setattr(sys, "argv", ["provenance", str(path)])
    hash_on_disk.cache_clear()
    try:
        main()
    except UserError as error:
        return f"{capsys.readouterr().out}{error}"
    return capsys.readouterr().out


def test_a_table_leads_back_to_the_download(chain: Path, monkeypatch, capsys) -> None:
    assert steps_of(chain) == ["tables", "score", "select", "download"]
    text = told(chain, monkeypatch, capsys)
    assert "given, made by no step: config/published.yaml" in text
    assert f"output resources/champ/v0.json {sha256(Path('resources/champ/v0.json'))}" in text
    assert 'settings {"key": "score"}' in text and "seed 3" in text
    assert "no experiment: the step reads none" in text
    assert f"all files behind {chain} are those of the run cards" in text


@pytest.mark.parametrize(
    ("artefact", "steps"),
    [
        ("results/x/groups/test", ["select", "download"]),
        ("results/x/groups", ["select", "download"]),
        ("results/x/scores", ["score", "select", "download"]),  # holds an output
        ("resources/champ/v0.json", ["download"]),
    ],
)
def test_files_and_folders_are_found(chain: Path, artefact: str, steps: list[str]) -> None:
    assert steps_of(artefact) == steps
    assert steps_of(Path(artefact).resolve()) == steps


def test_what_changed_far_behind_is_named(chain: Path, monkeypatch, capsys) -> None:
    write("resources/champ/v0.json", "another")
    text = told(chain, monkeypatch, capsys)
    assert "resources/champ/v0.json has changed since the step of results/x/cards/select" in text
    assert "2 of the hashes behind" in text  # of the step that wrote it and of that which read it


def test_what_is_gone_is_named(chain: Path, monkeypatch, capsys) -> None:
    remove(Path("results/x/scores"))
    assert "results/x/scores/orm/test is not there" in told(chain, monkeypatch, capsys)


def test_a_lost_card_is_named(chain: Path, monkeypatch, capsys) -> None:
    (CARDS / "select.json").unlink()
    text = told(chain, monkeypatch, capsys)
    assert "results/x/groups/train was made by a step whose run card is not here" in text


def test_a_file_of_no_step_is_refused(chain: Path, monkeypatch, capsys) -> None:
    assert "no run card names config" in told(Path("config/published.yaml"), monkeypatch, capsys)
    assert "there is no nothing" in told(Path("nothing"), monkeypatch, capsys)


def test_of_two_makers_it_is_the_one_whose_file_lies_there(chain: Path) -> None:
    """Another experiment downloaded it again, and the first file was put back since."""
    raw = write("resources/champ/v0.json", "other")
    run("other download", [], [raw], Path("results/y/cards/download.json"))
    later = json.loads(Path("results/y/cards/download.json").read_text())
    write("results/y/cards/download.json", json.dumps(later | {"started": "2100"}))
    hash_on_disk.cache_clear()
    assert steps_of(raw) == ["other download"]
    write("resources/champ/v0.json", "raw")
    hash_on_disk.cache_clear()
    assert steps_of(raw) == ["download"]


def test_a_card_names_machine_and_experiment(chain: Path, experiment, monkeypatch) -> None:
    cuda = types.SimpleNamespace(
        is_initialized=lambda: True,
        device_count=lambda: 2,
        max_memory_allocated=lambda n: 3 << 20 if n else 0,
        get_device_name=lambda n: f"GPU {n}",
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    changed = experiment.model_copy(update={"threads": 2})
    cards = []
    for each in (experiment, changed):
        RunCard("step", {}, path=Path("card.json"), experiment=each).write([])
        cards.append(json.loads(Path("card.json").read_text()))
    assert cards[0]["machine"]["gpus"] == [{"name": "GPU 1", "peak_memory_mb": 3}]
    assert cards[0]["experiment"]["title"] == experiment.title
    assert cards[0]["experiment"]["sha256"] != cards[1]["experiment"]["sha256"]


def test_the_peak_of_memory_is_the_steps_own(tmp_path: Path) -> None:
    """Not that of the process which starts it."""
    much = b"x" * 2**29
    card = tmp_path / "card.json"
    code = "from pathlib import Path; from steps.provenance import RunCard; "
    code += f"RunCard('step', {{}}, path=Path({str(card)!r})).write([])"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    peak = json.loads(card.read_text())["peak_memory_mb"]
    assert 10 < peak < len(much) >> 20


@pytest.mark.parametrize("status", [None, "VmRSS:\t 7 kB\n"])
def test_a_system_need_not_tell_the_peak_of_memory(tmp_path: Path, monkeypatch, status) -> None:
    if status:
        (tmp_path / "status").write_text(status)
    monkeypatch.setattr("steps.provenance.card.STATUS", tmp_path / "status")
    RunCard("step", {}, path=tmp_path / "card.json").write([])
    assert json.loads((tmp_path / "card.json").read_text())["peak_memory_mb"] is None


def test_of_several_processes_the_first_writes_the_card(tmp_path: Path, monkeypatch) -> None:
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        RunCard("step", {}, path=tmp_path / f"{rank}.json").write([])
    assert [path.name for path in tmp_path.glob("*.json")] == ["0.json"]


def test_a_card_names_the_commit_that_the_run_began_with(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("steps.provenance.card._git", lambda *_: "of the start")
    card = RunCard("step", {}, path=tmp_path / "card.json")
    monkeypatch.setattr("steps.provenance.card._git", lambda *_: "of the end")
    card.write([])
    assert json.loads((tmp_path / "card.json").read_text())["commit"] == "of the start"


def test_numbers_of_a_cluster_are_no_changes_of_the_code(tmp_path: Path, monkeypatch) -> None:
    files = [tmp_path / "workflow/profiles/slurm/cluster.yaml", tmp_path / "steps/code.py"]
    for file in files:
        write(str(file), "")
    name = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["add", "."], [*name, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    monkeypatch.setattr("steps.provenance.card.ROOT", tmp_path)
    found = []
    for file in files:
        file.write_text("other")
        found.append(code_facts()["uncommitted_changes"])
    assert found == [False, True]


def test_a_changed_input_is_refused(chain: Path) -> None:
    scores = write("results/x/scores/orm/test", "scorez")
    table = write("results/x/tables/more.csv", "table")
    with pytest.raises(UserError, match=r"scores/orm/test is not what its step wrote.*delete it"):
        RunCard("more tables", {}, path=CARDS / "more.json", inputs=[scores])  # before it is read
    RunCard("by hand", {}, path=None, inputs=[scores]).write([table])
    # Another experiment that has made the same file may have left a card with other bytes.
    run("score", [], [scores], Path("results/y/cards/score.json"))
    run("more tables", [scores], [table], CARDS / "more.json")
    assert (CARDS / "more.json").exists()


def test_an_input_is_hashed_again_only_where_it_may_have_changed(
    chain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []
    monkeypatch.setattr(
        "steps.provenance.inputs.sha256", lambda path: hashed.append(path) or sha256(path)
    )
    inputs = [Path("results/x/scores/orm/test"), Path("results/x/tables")]
    card = RunCard("more tables", {}, path=CARDS / "more.json", inputs=inputs)
    (inputs[1] / ".snakemake_timestamp").touch()  # no content
    card.write([])
    assert hashed == inputs
    os.utime(inputs[0], ns=(0, 0))
    card.write([])
    assert hashed == [*inputs, inputs[0]]
    recorded = json.loads((CARDS / "more.json").read_text())["inputs"]
    assert recorded == {str(path): sha256(path) for path in inputs}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("results/x/groups/test", "groups is not what its step wrote"),
        ("config/published.yaml", "published.yaml has changed while the step read it; start again"),
    ],
)
def test_an_input_that_changes_while_a_step_runs_is_noticed(
    chain: Path, name: str, words: str
) -> None:
    inputs = [Path("results/x/groups"), Path("config/published.yaml")]
    card = RunCard("more tables", {}, path=CARDS / "more.json", inputs=inputs)
    write(name, "another")
    with pytest.raises(UserError, match=words):
        card.write([])
    assert not (CARDS / "more.json").exists()


def test_a_missing_input_is_left_to_its_reader(chain: Path) -> None:
    remove(Path("results/x/scores"))
    RunCard("more tables", {}, path=CARDS / "more.json", inputs=[Path("results/x/scores/orm")])
