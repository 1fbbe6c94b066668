"""An exported model computes the same rewards in the tools that people already use."""

import sys
from logging import getLogger
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline
from trl import RewardConfig, RewardTrainer

from steps.download.pypi import WheelFile, fetch
from steps.errors import UserError
from tests.exported_models import BACKBONES, export, message_lists, saved_model, scored

OPENRLHF = "c969d70db03a70724c3d8a5a01186c6e0728bce624fb3dff95e39b5396acefa6"


@pytest.fixture(scope="module", params=sorted(BACKBONES))
def exported(request: pytest.FixtureRequest, tmp_path_factory) -> tuple[Path, np.ndarray]:
    """An exported model, and the rewards of the model that it was made from."""
    folder = tmp_path_factory.mktemp(request.param)
    model = saved_model(request.param, folder)
    rewards = scored(model)
    assert rewards.std() > 0.01
    return export(model, folder / "exported"), rewards


def texts(tokenizer) -> list[str]:
    return [tokenizer.apply_chat_template(m, tokenize=False) for m in message_lists()]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("special", [True, False])
def test_the_standard_class_gives_the_same_rewards(exported, side: str, special: bool) -> None:
    folder, rewards = exported
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side=side)
    batch = tokenizer(
        texts(tokenizer), padding=True, add_special_tokens=special, return_tensors="pt"
    )
    assert (batch["attention_mask"] == 0).any()
    with torch.no_grad():
        logits = model(**batch).logits[:, 0].numpy()
    assert np.allclose(logits, rewards, atol=1e-5)


def test_the_pipeline_gives_the_same_rewards(exported) -> None:
    folder, rewards = exported
    score = pipeline("text-classification", model=str(folder), device="cpu")
    found = score(texts(score.tokenizer), batch_size=4, function_to_apply="none")
    assert np.allclose([each["score"] for each in found], rewards, atol=1e-5)


def test_trl_gives_the_same_rewards(exported, tmp_path: Path) -> None:
    """Its reward trainer loads model and tokenizer by path, tokenises and pads by itself."""
    folder, rewards = exported
    first, second, third, fourth = message_lists()
    rows = {"chosen": [first, third], "rejected": [second, fourth]}
    trainer = RewardTrainer(
        str(folder),
        RewardConfig(str(tmp_path), use_cpu=True, bf16=False, report_to="none"),
        train_dataset=Dataset.from_dict(rows),
    )
    batch = trainer.data_collator(list(trainer.train_dataset))
    with torch.no_grad():
        logits = trainer.model.eval()(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).logits[:, 0]
    assert np.allclose(logits.numpy(), rewards[[0, 2, 1, 3]], atol=1e-5)


@pytest.fixture(scope="module")
def openrlhf_loader(tmp_path_factory):
    """`get_llm_for_sequence_regression` out of OpenRLHF's wheel; what needs a GPU is a stand-in."""
    path = tmp_path_factory.mktemp("openrlhf") / "model.py"
    member = "openrlhf-0.11.2.data/purelib/openrlhf/models/model.py"
    try:
        fetch(WheelFile("openrlhf", "0.11.2", OPENRLHF, member), path)
    except UserError as error:
        if "cannot download" not in str(error):
            raise
        pytest.skip(f"OpenRLHF's package is out of reach: {error}")
    stand_ins = {
        "openrlhf": {},
        "openrlhf.utils": {},
        "openrlhf.utils.logging_utils": {"init_logger": getLogger},
        "openrlhf.utils.utils": {"convert_to_torch_dtype": {"fp32": torch.float32}.__getitem__},
        "openrlhf.models": {},
        "openrlhf.models.ring_attn_utils": {
            "gather_and_pad_tensor": None,
            "unpad_and_slice_tensor": None,
        },
        "openrlhf.models.utils": {"set_z3_leaf_modules": lambda model, **arguments: None},
    }
    module = ModuleType("openrlhf.models.model")
    module.__package__ = "openrlhf.models"
    with pytest.MonkeyPatch.context() as patch:
        for name, content in stand_ins.items():
            patch.setitem(sys.modules, name, ModuleType(name))
            vars(sys.modules[name]).update(content)
        with patch.context() as importing:  # transformers must not take it for the real one
            importing.setitem(sys.modules, "deepspeed", ModuleType("deepspeed"))
            exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), vars(module))
        yield module.get_llm_for_sequence_regression


def test_openrlhf_gives_the_same_rewards(exported, openrlhf_loader) -> None:
    """Its own class over the bare decoder, which pools at the last token that is attended to."""
    folder, rewards = exported
    model = openrlhf_loader(str(folder), "reward", param_dtype="fp32", attn_implementation="sdpa")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rendered = texts(tokenizer)
    assert all(text.endswith(tokenizer.eos_token) for text in rendered)  # else it appends one
    batch = tokenizer(rendered, padding=True, add_special_tokens=False, return_tensors="pt")
    with torch.no_grad():
        found = model.eval()(batch["input_ids"], batch["attention_mask"])
    assert np.allclose(found.numpy(), rewards, atol=1e-5)
