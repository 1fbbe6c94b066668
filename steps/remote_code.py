"""Models that come with code of their own: whether transformers loads one, with it or without."""

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


def check_loadable(folder: Path, trust: bool, name: str, remedy: str) -> None:
    """Check that transformers has, or can import, the classes of a reward model.

    The model is built without its weights, which need not be there.

    Args:
        trust: whether code that comes with the model may run.
        name: of the model, for the sentence.
        remedy: another model.
    Raises:
        UserError: a class is not there, cannot be imported or cannot be built.
    """
    import torch
    import transformers

    described = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    for reference in (described.get("auto_map") or {}).values() if trust else ():
        if "--" in str(reference):
            raise UserError(
                f"{name} takes code from a repository of others ({reference}), which nobody has "
                f"consented to run; {remedy}"
            )
    own = {"trust_remote_code": trust}
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, **own)
        with torch.device("meta"):
            transformers.AutoModelForSequenceClassification.from_config(config, **own)
    except Exception as error:
        # Code of others raises whatever it likes.
        reason = " ".join(str(error).split())[:300]
        version = described.get("transformers_version")
        saved = f" (config.json names {version})" if version else ""
        raise UserError(
            f"{name} cannot be loaded with transformers {transformers.__version__} "
            f"({type(error).__name__}: {reason}); {remedy}, or use an environment with the "
            f"transformers that it was written for{saved}"
        ) from error


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
