"""The comparison with the publisher's program, which a stand-in of a few lines plays here."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.rows import LeftOut
from benchmarks.scoring_pairs import NAME, against_rewardbench
from benchmarks.setting import small_setting
from steps.errors import UserError

PIPELINE = """
import torch

class RewardBenchPipeline:
    def __init__(self, model, tokenizer):
        self.model, self.tokenizer = model, tokenizer

    def __call__(self, samples, **options):
        rows = [self.tokenizer(text, add_special_tokens=False).input_ids for text in samples]
        return [float(self.model(torch.tensor([row])).logits[0, 0]) + SHIFT for row in rows]
"""
PROGRAM = """
import argparse, json
from pathlib import Path
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from rewardbench.models.pipeline import RewardBenchPipeline

@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser()
    for name in ("--model", "--dataset", "--output_dir"):
        parser.add_argument(name)
    parser.add_argument("--batch_size", type=int, default=8)
    arguments, _ = parser.parse_known_args()
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    model = AutoModelForSequenceClassification.from_pretrained(arguments.model)
    pipe = RewardBenchPipeline(model, tokenizer)
    rows = [json.loads(line) for line in Path(arguments.dataset).read_text().splitlines()]
    scores = {}
    for side in ("chosen", "rejected"):
        texts = [tokenizer.apply_chat_template(row[side], tokenize=False) for row in rows]
        size = arguments.batch_size
        parts = [pipe(texts[at : at + size]) for at in range(0, len(texts), size)]
        scores[side] = [score for part in parts for score in part]
    Path(arguments.output_dir).mkdir()
    lines = [
        json.dumps({"scores_chosen": c, "scores_rejected": r}) + "\\n"
        for c, r in zip(scores["chosen"], scores["rejected"])
    ]
    name = f"{arguments.model}_outputs.jsonl"
    (Path(arguments.output_dir) / name).write_text("".join(lines))
"""


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch):
    """Write the stand-in; its rewards lie ``shift`` above the model's."""

    def write(shift: float) -> None:
        package = tmp_path / "stand_in/rewardbench"
        (package / "models").mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        (package / "models/__init__.py").touch()
        (package / "models/pipeline.py").write_text(f"SHIFT = {shift}\n{PIPELINE}")
        (package / "rewardbench.py").write_text(PROGRAM)
        monkeypatch.setenv("PYTHONPATH", str(package.parent))

    return write


def test_equal_rewards_give_a_row_and_others_none(tmp_path, publisher) -> None:
    with small_setting(tmp_path) as setting:
        setting = replace(setting, publisher=Path(sys.executable))
        publisher(0.0)
        row = against_rewardbench(setting)
        assert row.name == NAME and row.ratio == pytest.approx(row.ours / row.peer)
        publisher(0.01)
        with pytest.raises(UserError, match=r"scoring of pairs: .* differ by 1.0e-02"):
            against_rewardbench(setting)


def test_without_its_environment_the_row_is_left_out(tmp_path) -> None:
    with small_setting(tmp_path) as setting:
        left = against_rewardbench(replace(setting, publisher=tmp_path / "python"))
    assert isinstance(left, LeftOut) and "make .venv-rewardbench/installed" in left.reason
