"""Saving a reward model as a standard sequence-classification folder.

Frozen lower layers are the same in every model of an experiment. They are written once and each
model folder holds a hard link to that file as its first shard, so nine models cost one backbone
plus nine times the trained layers. `AutoModelForSequenceClassification.from_pretrained` reads the
folder like any other model.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from steps.chat import ChatFormat
from steps.errors import UserError
from steps.files import atomic_path, link_file, sha256, write_json

WHOLE = "model.safetensors"
FROZEN, TRAINED = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def frozen_names(model: PreTrainedModel, first_layer: int) -> set[str]:
    """Return the names of the weights below ``first_layer``."""
    prefix = model.base_model_prefix
    below = tuple(f"{prefix}.layers.{i}." for i in range(first_layer))
    return {
        name
        for name in model.state_dict()
        if name.startswith(below) or name.startswith(f"{prefix}.embed_tokens.")
    }


def write_frozen(model: PreTrainedModel, first_layer: int, output: Path) -> None:
    """Write the weights below ``first_layer``, atomically."""
    names = frozen_names(model, first_layer)
    tensors = {k: v.contiguous() for k, v in model.state_dict().items() if k in names}
    with atomic_path(output) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})


def check_frozen(file: Path, model: PreTrainedModel, first_layer: int) -> None:
    """Check, before a long training, that ``file`` holds the model's weights below a layer."""
    again = "delete it and run `python -m steps.train frozen` again"
    state, names = model.state_dict(), frozen_names(model, first_layer)
    try:
        with safe_open(file, "pt") as shard:
            same = set(shard.keys()) == names and all(
                torch.equal(shard.get_tensor(name), state[name]) for name in names
            )
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file} cannot be read ({error}); {again}") from None
    if not same:
        raise UserError(f"{file} holds other weights than the frozen layers here; {again}")


def save_reward_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    frozen: tuple[Path, int] | None,
    output: Path,
    facts: dict,
) -> None:
    """Write the model folder ``output``, atomically.

    Args:
        model: a plain model; adapters are merged before.
        frozen: file of `write_frozen`, hard-linked (copied across file systems) as first shard, and
            the first layer that it does not hold; None if all weights are the model's own.
        facts: what the scoring step checks, written as ``reward_model.json`` with the hashes of
            the weights.
    """
    pad = padding_token(tokenizer)
    tokenizer.pad_token = pad
    tokenizer.chat_template = reward_template(tokenizer.chat_template)
    config = model.config
    config.pad_token_id = tokenizer.convert_tokens_to_ids(pad)
    config.architectures = [type(model).__name__]
    with atomic_path(output) as temporary:
        temporary.mkdir()
        if frozen is None:
            state = {k: v.contiguous() for k, v in model.state_dict().items()}
            save_file(state, temporary / WHOLE, metadata={"format": "pt"})
        else:
            _save_on_frozen(model, *frozen, temporary)
        config.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        weights = {file.name: sha256(file) for file in sorted(temporary.glob("*.safetensors"))}
        write_json(temporary / "reward_model.json", facts | {"weights": weights})


def _save_on_frozen(model: PreTrainedModel, frozen: Path, first_layer: int, folder: Path) -> None:
    """Write the trained layers as second shard, and the index of both."""
    names, state = frozen_names(model, first_layer), model.state_dict()
    trained = {k: v.contiguous() for k, v in state.items() if k not in names}
    save_file(trained, folder / TRAINED, metadata={"format": "pt"})
    link_file(frozen, folder / FROZEN)
    size = sum(v.numel() * v.element_size() for v in state.values())
    weight_map = {k: FROZEN if k in names else TRAINED for k in state}
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    write_json(folder / "model.safetensors.index.json", index)


def reward_template(template: str) -> str:
    """Return the chat template without white space after a finished conversation.

    Several templates print a newline after the end-of-turn token. The standard head would read the
    reward there, one position behind the one that was trained.
    """
    return (
        "{%- set rendered %}" + template + "{% endset -%}"
        "{{- rendered if add_generation_prompt else rendered.rstrip() -}}"
    )


def padding_token(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a padding token that is not the end-of-turn token.

    The standard head pools at the last token that is not padding. With a tokenizer whose padding
    token ends the turn, that would be the last token of the text instead.
    """
    end = ChatFormat(tokenizer).end_of_turn
    taken = {end, tokenizer.eos_token_id, tokenizer.bos_token_id}
    candidates = [tokenizer.pad_token, tokenizer.unk_token]
    candidates += [t.content for t in tokenizer.added_tokens_decoder.values() if t.special]
    for token in candidates:
        if token is not None and tokenizer.convert_tokens_to_ids(token) not in taken:
            return token
    raise UserError(
        f"the tokenizer of {tokenizer.name_or_path} has no special token left for padding; "
        "add one to its tokenizer files"
    )
