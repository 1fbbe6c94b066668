"""Models that come with code of their own: whether transformers can load one without it."""

from pathlib import Path

from steps.errors import UserError
from steps.files import read_json

LANGUAGE_MODEL = "AutoModelForCausalLM"
REWARD_MODEL = "AutoModelForSequenceClassification"


def refuse_remote_code(folder: Path, kind: str, name: str, remedy: str) -> None:
    """Refuse a model that cannot be loaded without the code that comes with it.

    Args:
        kind: `LANGUAGE_MODEL` or `REWARD_MODEL`.
        name: of the model, for the sentence.
        remedy: how to consent to that code.
    Raises:
        UserError: transformers has no class of its own for the model.
    """
    if _needs_remote_code(folder / "config.json", kind):
        raise UserError(
            f"{name} can only be loaded with the code that comes with it; read that code, then "
            f"{remedy}"
        )


def _needs_remote_code(path: Path, kind: str) -> bool:
    """Decide as transformers' auto classes do: without consent they take a class of their own."""
    # They import torch: seconds, for which a bad file of rows need not wait.
    from transformers import (
        CONFIG_MAPPING,
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    )

    classes = {
        LANGUAGE_MODEL: MODEL_FOR_CAUSAL_LM_MAPPING,
        REWARD_MODEL: MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    }
    config = read_json(path) if path.is_file() else {}
    comes_with = config.get("auto_map") or {}
    if config.get("model_type") not in CONFIG_MAPPING:
        return "AutoConfig" in comes_with
    return kind in comes_with and CONFIG_MAPPING[config["model_type"]] not in classes[kind]
