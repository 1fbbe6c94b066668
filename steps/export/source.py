"""Reading the folder of a trained model, and refusing what would not stand alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from steps.backbone import load_config, load_part
from steps.errors import UserError
from steps.files import read_json
from steps.reward_head import has_mlp_head

AGAIN = "train the model again"


@dataclass(frozen=True)
class Source:
    """A trained model.

    Attributes:
        settings: its config.json.
        facts: what the train step noted in reward_model.json.
    """

    folder: Path
    config: PreTrainedConfig
    settings: dict[str, Any]
    tokenizer: PreTrainedTokenizerBase
    facts: dict[str, Any]


def open_source(folder: Path) -> Source:
    """Read everything but the weights.

    Raises:
        UserError: this is no model of the train step, or other tools cannot know its head.
    """
    facts = read_json(folder / "reward_model.json")
    if not isinstance(facts, dict) or not {"method", "seed", "description"} <= facts.keys():
        raise UserError(
            f"{folder}/reward_model.json does not name method, seed and description; {AGAIN}"
        )
    config = load_config(folder, trust=False)
    tokenizer = load_part(AutoTokenizer.from_pretrained, folder, trust=False)
    if has_mlp_head(config):
        raise UserError(
            f"{folder} has the reward head `mlp`, which AutoModelForSequenceClassification does "
            "not know; train with `reward_head: linear` to export"
        )
    if config.num_labels != 1:
        raise UserError(
            f"{folder}/config.json has {config.num_labels} labels, a reward model has one; {AGAIN}"
        )
    return Source(folder, config, read_json(folder / "config.json"), tokenizer, facts)


def read_weights(source: Source) -> dict[str, Tensor]:
    """Return all weights of the standard class, from however many files.

    Raises:
        UserError: a file is damaged, or they are not the weights of this architecture.
    """
    weights: dict[str, Tensor] = {}
    for file in sorted(source.folder.glob("*.safetensors")):
        try:
            with safe_open(file, "pt") as stored:
                weights |= {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise UserError(f"{file} cannot be read ({error}); {AGAIN}") from None
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(source.config)
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    found = {name: tensor.shape for name, tensor in weights.items()}
    if found != wanted:
        differing = sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))
        raise UserError(
            f"the weights in {source.folder} are not those of its config.json: {len(differing)} "
            f"are missing, too many or of another shape, for example '{differing[0]}'; {AGAIN}"
        )
    return weights
