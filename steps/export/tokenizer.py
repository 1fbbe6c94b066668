"""A tokenizer that needs no care: however a tool calls it, the reward stands on the last token.

- The chat template spells out everything (BOS, a fixed date) and ends with the end-of-turn token;
  the tokenizer adds nothing, so tokenising a rendered text cannot double the BOS.
- The EOS token is the one that ends the turn: tools that append a missing EOS append nothing.
- The padding token is neither, so heads that look for the last token that is not padding find it.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from steps.chat import DATE, ChatFormat, adds_bos, render
from steps.errors import UserError
from steps.files import write_json
from steps.train.save import padding_token

# Read by transformers 4 and 5; the class that 5 writes for most tokenizers is unknown to 4.
CLASS = "PreTrainedTokenizerFast"
_PROBES = [("What is 1 + 1?", "It is 2."), ("Hello", "Hi,\nthere  ")]


def write_tokenizer(
    tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, folder: Path
) -> tuple[int, int]:
    """Write tokenizer.json and tokenizer_config.json into ``folder``.

    Returns:
        The ids of the end-of-turn token and of the padding token.

    Raises:
        UserError: no rendering of its chat template gives the tokens of training.
    """
    chat = ChatFormat(tokenizer)
    eos = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    pad = padding_token(tokenizer, frozenset(eos))
    end = tokenizer.convert_ids_to_tokens(chat.end_of_turn)
    Tokenizer.from_str(_plain_backend(tokenizer)).save(str(folder / "tokenizer.json"))
    named = {
        "bos_token": tokenizer.bos_token,
        "eos_token": end,
        "pad_token": pad,
        "unk_token": tokenizer.unk_token,
    }
    named = {key: token for key, token in named.items() if token is not None}
    others = [t for t in tokenizer.all_special_tokens if t not in named.values()]
    settings: dict[str, Any] = named | {
        "additional_special_tokens": others,
        "chat_template": _complete_template(chat),
        "clean_up_tokenization_spaces": False,
        "model_max_length": min(tokenizer.model_max_length, config.max_position_embeddings),
        # The class alone would add token_type_ids, which decoders refuse.
        "model_input_names": ["input_ids", "attention_mask"],
        "tokenizer_class": CLASS,
    }
    write_json(folder / "tokenizer_config.json", settings)
    _check_tokens(chat, AutoTokenizer.from_pretrained(folder, local_files_only=True))
    return chat.end_of_turn, tokenizer.convert_tokens_to_ids(pad)


def _plain_backend(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the tokenizer's JSON without what adds tokens, pads or truncates."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["padding"] = state["truncation"] = None
    processor = state["post_processor"] or {"type": "Sequence", "processors": []}
    steps = processor["processors"] if processor["type"] == "Sequence" else [processor]
    kept = [step for step in steps if step["type"] == "ByteLevel"]  # sets offsets only
    state["post_processor"] = kept[0] if kept else None
    return json.dumps(state, ensure_ascii=False)


def _complete_template(chat: ChatFormat) -> str:
    """Return the chat template with the BOS and the date that training gave it."""
    tokenizer = chat.tokenizer
    template = tokenizer.chat_template
    if adds_bos(tokenizer) and not render(tokenizer, "u").startswith(tokenizer.bos_token):
        template = "{{- bos_token }}" + template
    if "date_string" in template:
        template = f"{{%- set date_string = date_string | default('{DATE}') %}}" + template
    return template


def _check_tokens(chat: ChatFormat, exported: PreTrainedTokenizerBase) -> None:
    """Check that all ways of tokenising a conversation give the tokens of training."""
    for prompt, response in _PROBES:
        wanted = chat.encode_prompt(prompt) + chat.encode_response(prompt, response).ids
        messages = [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": response},
        ]
        text = exported.apply_chat_template(messages, tokenize=False)
        ways = [
            exported.apply_chat_template(messages, return_dict=False),
            exported(text).input_ids,
            exported(text, add_special_tokens=False).input_ids,
        ]
        if any(ids != wanted for ids in ways):
            raise UserError(
                f"the chat template of {chat.tokenizer.name_or_path} does not end with the "
                f"end-of-turn token '{chat.tokenizer.convert_ids_to_tokens(chat.end_of_turn)}' "
                "or gives other tokens than training had; such a template cannot be exported"
            )
