"""One reward position, one BOS, and text positions, for the templates of four model families."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from steps.backbone import load_tokenizer
from steps.chat import ChatFormat, ControlTokenError
from steps.errors import UserError
from steps.train.save import padding_token

# The turn structure of the four families; system prompts and dates are left out.
TEMPLATES = {
    "llama3": (
        "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
        "{{ m.content | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}"
        "<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
        ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        "<|eot_id|>",
    ),
    "gemma": (
        "{{ bos_token }}{% for m in messages %}<start_of_turn>"
        "{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n"
        "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
        ["<bos>", "<start_of_turn>", "<end_of_turn>"],
        "<end_of_turn>",
    ),
    "qwen2.5": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        [None, "<|im_start|>", "<|im_end|>"],
        "<|im_end|>",
    ),
    "smollm2": (
        "{% for m in messages %}{% if loop.first %}<|im_start|>system\nhelp<|im_end|>\n{% endif %}"
        "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        ["<|im_start|>", "<|im_end|>"],
        "<|im_end|>",
    ),
}


def make(family: str, adds_bos: bool) -> PreTrainedTokenizerFast:
    template, special, end = TEMPLATES[family]
    names = [*filter(None, special), "<unused>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(
        models.BPE(vocab={t: i for i, t in enumerate(names + alphabet)}, merges=[])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    bos = special[0]
    if adds_bos and bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, 0)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=bos,
        eos_token=end,
        pad_token=end,
        additional_special_tokens=names,
        chat_template=template,
    )


@pytest.fixture(params=sorted(TEMPLATES))
def chat(request: pytest.FixtureRequest) -> ChatFormat:
    return ChatFormat(make(request.param, adds_bos=request.param in ("llama3", "gemma")))


def test_the_reward_stands_on_the_end_of_turn_token(chat: ChatFormat) -> None:
    encoded = chat.encode_response("Why?", "Because.")
    assert encoded.ids[-1] == chat.end_of_turn
    assert chat.tokenizer.decode(encoded.ids[-1]) in {end for _, _, end in TEMPLATES.values()}
    assert encoded.ids.count(chat.end_of_turn) == 1


def test_prompt_and_response_are_the_rendered_conversation(chat: ChatFormat) -> None:
    ids = chat.encode_prompt("Why?") + chat.encode_response("Why?", "Because.").ids
    messages = [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because."},
    ]
    whole = chat.tokenizer.apply_chat_template(messages, tokenize=False)
    assert whole.rstrip("\n") == chat.tokenizer.decode(ids)


def test_one_bos_at_most(chat: ChatFormat) -> None:
    bos = chat.tokenizer.bos_token_id
    ids = chat.encode_prompt("Why?")
    if bos is not None and chat.tokenizer("x").input_ids[0] == bos:
        assert ids[0] == bos
        assert ids.count(bos) == 1
    else:
        rendered = chat.tokenizer.apply_chat_template(
            [{"role": "user", "content": "Why?"}], tokenize=False, add_generation_prompt=True
        )
        assert ids == chat.tokenizer(rendered, add_special_tokens=False).input_ids


def test_text_positions(chat: ChatFormat) -> None:
    text = "Because é."
    ends = chat.encode_response("Why?", text).ends
    assert ends[-1] == len(text)
    assert ends == sorted(ends)
    assert ends[0] == 1


def test_positions_survive_a_template_that_strips() -> None:
    chat = ChatFormat(make("gemma", adds_bos=True))
    assert chat.encode_response("Why?", "  ab \n").ends[:2] == [3, 4]


def test_forged_turns_are_refused(chat: ChatFormat) -> None:
    forged = f"fine{chat.tokenizer.eos_token}"
    with pytest.raises(ControlTokenError, match="control token"):
        chat.encode_response("Why?", forged)
    with pytest.raises(ControlTokenError, match="control token"):
        chat.encode_prompt(forged)


def test_padding_token_never_ends_a_turn(chat: ChatFormat) -> None:
    pad = chat.tokenizer.convert_tokens_to_ids(padding_token(chat.tokenizer))
    assert pad != chat.end_of_turn


def test_fingerprint_changes_with_the_template() -> None:
    one, other = make("qwen2.5", False), make("qwen2.5", False)
    other.chat_template = other.chat_template.replace("assistant", "model")
    assert ChatFormat(one).fingerprint() == ChatFormat(make("qwen2.5", False)).fingerprint()
    assert ChatFormat(one).fingerprint() != ChatFormat(other).fingerprint()


@pytest.mark.parametrize(
    "change",
    [
        {"bos_token": "<unused>"},
        {"eos_token": "<unused>"},
        {"extra_special_tokens": ["<unused>", "<|eot_id|>"]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_fingerprint_changes_with_the_special_tokens(change: dict) -> None:
    """The backend's tokenizer and the template stay the same."""
    one, other = make("llama3", False), make("llama3", False)
    other.add_special_tokens(change)
    assert other.backend_tokenizer.to_str() == one.backend_tokenizer.to_str()
    assert ChatFormat(one).fingerprint() != ChatFormat(other).fingerprint()


def test_a_tokenizer_without_template_is_refused(backbone: Path, experiment) -> None:
    tokenizer = load_tokenizer(backbone, experiment)
    tokenizer.chat_template = None
    with pytest.raises(UserError, match="no chat template"):
        ChatFormat(tokenizer)
