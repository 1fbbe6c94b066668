"""The model card and the provenance: complete, honest about what is missing, and fit to publish."""

import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from steps.config import load_experiment
from steps.config.schema import FileData, LocalBackbone, SmolLM2Backbone
from steps.errors import UserError
from steps.export.folder import export_model
from steps.export.parts import parts
from steps.export.published import published_loss
from steps.files import read_json, sha256, write_json
from steps.objectives.registry import method_names
from steps.report.csv_file import read_csv
from steps.score.model_files import find_model
from tests.conftest import ROOT
from tests.exported_models import export, saved_model
from tests.test_report import evaluated

TRAINING = {
    "step": "train",
    "experiment": {"title": "Synthetic", "sha256": "of a file that has changed since"},
    "commit": "c" * 40,
    "uncommitted_changes": False,
    "versions": {"torch": "1.2.3", "transformers": "4.5.6"},
    "settings": {},
    "seed": 1,
    "outputs": {},
    "inputs": {"/home/somebody/groups/train.parquet": "0" * 64},
    "machine": {"node": "some-host"},
}


def training_card(path: Path, model: Path, **changes) -> Path:
    write_json(path, TRAINING | {"outputs": {"/home/somebody/model": sha256(model)}} | changes)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the method `icrm` with seed 1."""
    return saved_model("smollm2", tmp_path_factory.mktemp("card"))


@pytest.fixture(scope="module")
def results(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    origins = {("icrm", 1): find_model(model).origin}
    return evaluated(tmp_path_factory.mktemp("evaluated"), origins=origins)


@pytest.fixture(scope="module")
def folder(model: Path, results: tuple[Path, Path], tmp_path_factory) -> Path:
    """An export with everything that it can be given."""
    yaml, evaluation = results[0], results[1] / "evaluation"
    smollm2 = {"backbone": SmolLM2Backbone(source="smollm2")}
    experiment = load_experiment(yaml).model_copy(update=smollm2)
    output = tmp_path_factory.mktemp("full") / "exported"
    card = training_card(output.parent / "card.json", model)
    export_model(model, output, experiment, evaluation, card)
    return output


def test_the_hub_finds_licence_backbone_and_scores(folder: Path, results) -> None:
    head = ModelCard.load(folder / "README.md").data
    assert (head.license, head.base_model) == ("apache-2.0", "HuggingFaceTB/SmolLM2-135M-Instruct")
    assert (head.library_name, head.pipeline_tag) == ("transformers", "text-classification")
    assert {"reward-model", "icrm"} <= set(head.tags)
    seeds = read_csv(results[1] / "evaluation/seeds.csv", ["method", "seed", "metric", "value"])
    own = seeds[(seeds["method"] == "icrm") & (seeds["seed"] == 1)].set_index(
        ["eval_set", "metric"]
    )
    wanted = own.loc[("in_distribution", "pair_accuracy"), "value"]
    (found,) = [
        each.metric_value
        for each in head.eval_results
        if (each.dataset_type, each.metric_name) == ("in_distribution", "pair accuracy")
    ]
    assert found == wanted


def test_every_score_has_its_interval_and_its_counts(folder: Path, results) -> None:
    text = (folder / "README.md").read_text()
    metrics = read_csv(results[1] / "evaluation/metrics.csv", ["method", "eval_set", "metric"])
    row = metrics[(metrics["method"] == "icrm") & (metrics["metric"] == "pair_accuracy")].iloc[0]
    interval = f"[{row.ci_low:.3f}, {row.ci_high:.3f}] | {row.n} | {row.seeds} |"
    assert f"{row.value:.3f} | {interval}" in text
    assert "best-of-1 " not in text  # says nothing of a method


def test_the_card_names_method_source_seed_and_data(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    assert "(1 - a) L_BT + a L_IC + L_SFT" in text and "2506.09096" in text
    assert "0.9 bradley_terry + 0.1 consistency + 1 language_model" in text
    assert (
        "Seed 1." in text and "CHAMP" in text and "no conversation of more than 64 tokens" in text
    )
    assert "c" * 40 in text


def test_nothing_tells_whose_machine_it_was(model: Path, folder: Path, results, tmp_path) -> None:
    own = {
        "backbone": LocalBackbone(source="local", path="/home/somebody/model"),
        "data": FileData(source="files", train="/home/somebody/a.jsonl", evaluation={"b": "/c/d"}),
    }
    experiment = load_experiment(results[0]).model_copy(update=own)
    export_model(model, tmp_path / "own", experiment, None, None)
    for place in (folder, tmp_path / "own"):
        for name in ("README.md", "provenance.json", "config.json", "tokenizer_config.json"):
            text = (place / name).read_text()
            for word in ("somebody", "some-host", "/c/d", str(model.parent)):
                assert word not in text
    assert "not known, see its page" in (tmp_path / "own/README.md").read_text()


def test_what_was_not_given_is_said(model: Path, tmp_path: Path) -> None:
    text = (export(model, tmp_path / "bare") / "README.md").read_text()
    assert "The export was given no evaluation." in text
    assert "Not known: the experiment file was not given to the export." in text
    assert ModelCard(text).data.license == "other"


def test_an_evaluation_without_its_experiment_is_refused(model: Path, results, tmp_path) -> None:
    with pytest.raises(UserError, match="--evaluation needs --experiment"):
        export_model(model, tmp_path / "out", None, results[1] / "evaluation", None)


def test_a_missing_evaluation_names_its_step(model: Path, results, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"missing is not there; evaluate first \(`snakemake tables"
    ):
        missing = tmp_path / "missing"
        export_model(model, tmp_path / "out", load_experiment(results[0]), missing, None)


def test_another_run_card_is_refused(model: Path, tmp_path: Path) -> None:
    card = training_card(tmp_path / "card.json", model, step="score")
    with pytest.raises(UserError, match="no run card of the train step"):
        export_model(model, tmp_path / "out", None, None, card)
    training_card(card, model, outputs={"another": "0" * 64})
    with pytest.raises(UserError, match="the run card of another model"):
        export_model(model, tmp_path / "out", None, None, card)


def test_another_experiment_is_refused(model: Path, results, tmp_path: Path) -> None:
    experiment = load_experiment(results[0]).model_copy(update={"seeds": [0]})
    with pytest.raises(UserError, match="'Synthetic' trains no icrm with seed 1"):
        export_model(model, tmp_path / "out", experiment, None, None)


def test_the_scores_of_another_model_are_refused(model: Path, results, tmp_path: Path) -> None:
    """Of the same method and seed: trained on other data, or trained again since."""
    yaml, others = evaluated(tmp_path)
    with pytest.raises(UserError, match=r"has the scores of another model of icrm/seed1 than"):
        export_model(model, tmp_path / "out", load_experiment(yaml), others / "evaluation", None)
    evaluation = shutil.copytree(results[1] / "evaluation", tmp_path / "of an older version")
    facts = read_json(evaluation / "manifest.json")
    del facts["models"]
    write_json(evaluation / "manifest.json", facts)
    with pytest.raises(UserError, match=r"does not tell which model of icrm/seed1 was scored"):
        export_model(model, tmp_path / "out", load_experiment(yaml), evaluation, None)
    assert not (tmp_path / "out").exists()


def test_an_experiment_other_than_the_run_cards_is_refused(model: Path, results, tmp_path) -> None:
    card = training_card(tmp_path / "card.json", model)
    other = load_experiment(results[0]).model_copy(update={"title": "CHAMP"})
    with pytest.raises(UserError, match="trained in the experiment 'Synthetic', not in 'CHAMP'"):
        export_model(model, tmp_path / "out", other, None, card)
    card.write_text(card.read_text().replace('"experiment"', '"unknown"'))
    export_model(model, tmp_path / "out", other, None, card)  # a card of before it was noted


def test_the_settings_are_those_of_the_training(model: Path, results, tmp_path: Path) -> None:
    """Whatever the experiment file says by now."""
    card = TRAINING | {"outputs": {"model": sha256(model)}}
    write_json(tmp_path / "card.json", card | {"settings": {"consistency": {"weight": 0.25}}})
    experiment = load_experiment(results[0])
    export_model(model, tmp_path / "out", experiment, None, tmp_path / "card.json")
    text = (tmp_path / "out/README.md").read_text()
    assert "weight: 0.25" in text and "0.75 bradley_terry + 0.25 consistency" in text
    write_json(tmp_path / "card.json", card | {"settings": {"consistency": {"wait": 1}}})
    with pytest.raises(UserError, match="has settings that this version does not know"):
        export_model(model, tmp_path / "other", experiment, None, tmp_path / "card.json")


def test_the_guide_has_loss_and_source_of_every_method() -> None:
    found = {name: published_loss(name) for name in method_names()}
    assert [name for name, row in found.items() if row is None] == []
    assert "1512.00567" in found["orm_label_smooth"].source


@pytest.mark.parametrize(
    ("experiment", "licences"),
    [
        ("quickstart", ["apache-2.0", "mit"]),
        ("gemma2b_uf40k", ["gemma", "mit"]),
        ("llama3_8b_skywork", ["llama3", None, "mit"]),
        ("qwen1_5b_math", ["apache-2.0", "mit"]),
        ("tiny", [None, None]),
    ],
)
def test_licences_of_the_parts(experiment: str, licences: list[str | None]) -> None:
    found = parts(load_experiment(ROOT / f"config/{experiment}.yaml"))
    assert [part.licence for part in found] == licences
