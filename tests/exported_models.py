"""What the tests of the export share: small trained-looking models and conversations."""

from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

from steps.config.schema import HubBackbone, SmolLM2Backbone
from steps.export.folder import export_model
from steps.groups.schema import PromptGroup, Response
from steps.score.reward_model import open_reward_model
from steps.score.stream import score_stream
from steps.train.save import save_reward_model, write_frozen
from tests.stand_ins import stand_in

BACKBONES = {
    "gemma": HubBackbone(source="hub", id="google/gemma-2b-it"),
    "llama3": HubBackbone(source="hub", id="meta-llama/Meta-Llama-3-8B-Instruct"),
    "qwen2.5": HubBackbone(source="hub", id="Qwen/Qwen2.5-1.5B-Instruct"),
    "smollm2": SmolLM2Backbone(source="smollm2"),
}
FACTS = {"method": "icrm", "seed": 1, "description": "made for a test", "mode": "full"}
# Of unequal lengths, so that batches are padded; one ends in white space, one is a single letter.
GROUPS = [
    PromptGroup("a", "test", "all", "Why?", (Response("Because it is."), Response("No "))),
    PromptGroup(
        "b",
        "test",
        "all",
        "What is 1 + 1, and why?",
        (Response("2,\n\nby counting."), Response("3")),
    ),
]


def saved_model(family: str, folder: Path, frozen_layers: int | None = None) -> Path:
    """Save a random reward model as the train step does, its frozen layers as a linked shard."""
    backbone = stand_in(BACKBONES[family], folder / "backbone")
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=1)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(backbone)  # toy vocabularies lack defaults
    model.config.eos_token_id = tokenizer.eos_token_id  # the class's own default is another token
    frozen = None
    if frozen_layers is not None:
        frozen = (folder / "frozen.safetensors", frozen_layers)
        write_frozen(model, frozen_layers, frozen[0])
    save_reward_model(model, tokenizer, frozen, folder / "model", FACTS)
    return folder / "model"


def export(model: Path, output: Path) -> Path:
    """Export without a card's sources."""
    export_model(model, output, None, None, None)
    return output


def message_lists() -> list[list[dict[str, str]]]:
    """The conversations of `GROUPS`."""
    return [
        [{"role": "user", "content": g.prompt}, {"role": "assistant", "content": r.text}]
        for g in GROUPS
        for r in g.responses
    ]


def scored(model: Path) -> np.ndarray:
    """The rewards of `GROUPS` by our own scorer."""
    return np.concatenate([g.rewards for g in score_stream(open_reward_model(model), GROUPS)])
