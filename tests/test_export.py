"""The folder of an exported model: what is in it, and what is refused."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from transformers import AutoConfig, AutoTokenizer

from steps.chat import ChatFormat
from steps.errors import UserError
from steps.export.configuration import portable_config
from steps.export.tokenizer import write_tokenizer
from steps.files import read_json, sha256, write_json
from tests.exported_models import BACKBONES, export, saved_model, scored
from tests.test_chat import make


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_model("llama3", tmp_path_factory.mktemp("llama3"))


@pytest.fixture
def damaged(model: Path, tmp_path: Path) -> Path:
    """A copy of the model, to be damaged."""
    folder = tmp_path / "damaged"
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def change_json(path: Path, **values) -> None:
    write_json(path, read_json(path) | values)


def test_shards_and_links_become_one_file_of_its_own(tmp_path: Path) -> None:
    model = saved_model("smollm2", tmp_path, frozen_layers=3)
    shards = sorted(model.glob("*.safetensors"))
    assert [file.stat().st_nlink for file in shards] == [2, 1]
    exported = export(model, tmp_path / "exported")
    (weights,) = exported.glob("*.safetensors")
    assert weights.stat().st_nlink == 1
    assert scored(exported) == pytest.approx(scored(model), abs=1e-5)
    wanted = {k: v.tolist() for file in shards for k, v in load_file(file).items()}
    assert {k: v.tolist() for k, v in load_file(weights).items()} == wanted


def test_the_same_model_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    assert sha256(export(model, tmp_path / "one")) == sha256(export(model, tmp_path / "two"))


@pytest.mark.parametrize("family", sorted(BACKBONES))
def test_the_padding_token_ends_no_text(family: str, tmp_path: Path) -> None:
    folder = export(saved_model(family, tmp_path), tmp_path / "exported")
    config, tokenizer = AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert config.pad_token_id == tokenizer.pad_token_id
    end = ChatFormat(tokenizer).end_of_turn
    assert tokenizer.eos_token_id == config.eos_token_id == end
    assert tokenizer.pad_token_id not in {end, tokenizer.bos_token_id}


def test_the_padding_token_is_none_of_several_eos_tokens(model: Path, damaged, tmp_path) -> None:
    taken = AutoConfig.from_pretrained(model).pad_token_id
    end = AutoTokenizer.from_pretrained(model).eos_token_id
    change_json(damaged / "config.json", eos_token_id=[end, taken])
    exported = AutoTokenizer.from_pretrained(export(damaged, tmp_path / "exported"))
    assert exported.pad_token_id not in (end, taken)


def test_a_bos_that_only_the_tokenizer_adds_is_in_the_template(tmp_path: Path) -> None:
    tokenizer = make("llama3", adds_bos=True)
    tokenizer.chat_template = tokenizer.chat_template.removeprefix("{{ bos_token }}")
    config = AutoConfig.for_model("llama", eos_token_id=None)
    write_tokenizer(tokenizer, config, tmp_path)
    change_json(tmp_path / "tokenizer_config.json")  # it can be read back
    write_json(tmp_path / "config.json", config.to_dict())
    exported = AutoTokenizer.from_pretrained(tmp_path)
    text = exported.apply_chat_template([{"role": "user", "content": "Why?"}], tokenize=False)
    assert exported(text).input_ids.count(exported.bos_token_id) == 1


def test_a_template_that_prints_the_date_prints_that_of_training(tmp_path: Path) -> None:
    tokenizer = make("smollm2", adds_bos=False)
    dated = "{{ date_string if date_string is defined else strftime_now('%d %b %Y') }}"
    tokenizer.chat_template = (dated + tokenizer.chat_template).replace(
        "\n{% endfor %}", "{% endfor %}"
    )
    config = AutoConfig.for_model("llama", eos_token_id=None)
    write_tokenizer(tokenizer, config, tmp_path)
    write_json(tmp_path / "config.json", config.to_dict())
    exported = AutoTokenizer.from_pretrained(tmp_path)
    text = exported.apply_chat_template([{"role": "user", "content": "Why?"}], tokenize=False)
    assert text.startswith("26 Jul 2024")


def test_both_versions_of_the_library_find_their_names() -> None:
    rope = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0}
    rope |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 64}
    settings = {"model_type": "llama", "rope_parameters": rope, "dtype": "bfloat16"}
    config = portable_config(settings, end_of_turn=4, pad=5)
    assert config["rope_theta"] == 5e5 and config["torch_dtype"] == "bfloat16"
    assert config["rope_scaling"] == {k: v for k, v in rope.items() if k != "rope_theta"}
    assert (config["eos_token_id"], config["pad_token_id"]) == (4, 5)


def test_this_version_reads_both_names_as_one(tmp_path: Path, model: Path) -> None:
    rope = {"rope_type": "linear", "rope_theta": 5e5, "factor": 2.0}
    settings = read_json(model / "config.json") | {"rope_parameters": rope}
    write_json(tmp_path / "config.json", portable_config(settings, 4, 5))
    assert AutoConfig.from_pretrained(tmp_path).rope_parameters == rope


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("config.json", {"reward_head": "mlp"}, "reward head `mlp`.*`reward_head: linear`"),
        ("config.json", {"id2label": {0: "a", 1: "b"}}, "2 labels.*has one"),
        ("config.json", {"num_hidden_layers": 4}, r"not those of its config.json.*layers\.4"),
        ("reward_model.json", {"method": "icmr"}, "unknown method 'icmr'"),
    ],
    ids=["mlp", "two labels", "other architecture", "method"],
)
def test_what_cannot_stand_alone_is_refused(
    damaged: Path, tmp_path: Path, file: str, values: dict, message: str
) -> None:
    change_json(damaged / file, **values)
    with pytest.raises(UserError, match=message):
        export(damaged, tmp_path / "exported")
    assert {p.name for p in tmp_path.iterdir()} == {"damaged"}


def test_text_after_the_end_of_turn_is_refused(damaged: Path, tmp_path: Path) -> None:
    template = (damaged / "chat_template.jinja").read_text()
    (damaged / "chat_template.jinja").write_text(
        template + "{% if not add_generation_prompt %}end{% endif %}"
    )
    with pytest.raises(UserError, match=r"does not end with the end-of-turn token '<\|eot_id\|>'"):
        export(damaged, tmp_path / "exported")


def test_a_folder_that_is_no_trained_model_is_refused(damaged: Path, tmp_path: Path) -> None:
    (damaged / "reward_model.json").write_text(json.dumps({"seed": 0}))
    with pytest.raises(UserError, match="does not name method"):
        export(damaged, tmp_path / "exported")
    (damaged / "reward_model.json").unlink()
    with pytest.raises(UserError, match=r"reward_model\.json is not there"):
        export(damaged, tmp_path / "exported")


def test_damaged_weights_are_named(damaged: Path, tmp_path: Path) -> None:
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"model\.safetensors cannot be read"):
        export(damaged, tmp_path / "exported")
