"""Any sequence-classification reward model, open for scoring.

The reward is read where the model's own class reads it: transformers' decoder classifiers take the
last token that is not ``pad_token_id``. Saved models of this pipeline end with the end-of-turn
token, so that is where theirs is; a model whose template prints a newline behind that token has its
reward at the newline. Classes of their own (encoders, code that comes with the model) are asked for
their logits and know no reward of a token.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_layers import GenericForSequenceClassification

from steps.backbone import is_packable, load_classifier, load_config, load_part
from steps.device import best_device, working_dtype
from steps.errors import UserError
from steps.groups.schema import PromptGroup
from steps.packing import ATTENTION
from steps.remote_code import REWARD_MODEL, refuse_remote_code
from steps.reward_head import token_rewards as rewards_of_tokens
from steps.score.batches import hidden_states
from steps.score.cached import autocast
from steps.score.conversation import Conversation, OwnFormat, RenderedFormat
from steps.score.model_files import ModelFiles, find_model


@dataclass(frozen=True)
class RewardModel:
    """A sequence classifier with one label, its chat format, and where its files came from.

    Attributes:
        layout: ``packed`` or ``padded``.
        dtype: that the products are computed in.
        max_length: tokens that the model takes; None where its files do not tell.
    """

    model: PreTrainedModel
    format: OwnFormat | RenderedFormat
    files: ModelFiles
    layout: str
    dtype: torch.dtype
    max_length: int | None

    @property
    def name(self) -> str:
        return self.files.name

    @property
    def content_hash(self) -> str:
        """SHA-256 of the model's files."""
        return self.files.sha256

    @property
    def pad_token_id(self) -> int | None:
        """The token that the model's class takes for padding."""
        return self.model.config.get_text_config().pad_token_id

    @property
    def has_token_rewards(self) -> bool:
        """Whether the class is a linear head (or ours) over the final state of every token."""
        return type(self.model).forward is GenericForSequenceClassification.forward

    def check_token_rewards(self) -> None:
        """Raise a `UserError` if the model has no reward of a token."""
        if not self.has_token_rewards:
            raise UserError(
                f"{self.name} is a {type(self.model).__name__}, which gives one reward for a whole "
                "text and none for a token; leave --token-rewards out"
            )

    def limit(self, asked: int | None) -> int:
        """Return the most tokens that prompt and response together may have.

        Args:
            asked: at most what the model takes; None for just that.
        Raises:
            UserError: more is asked for, or nothing, though what the model takes is not known.
        """
        if asked is None and self.max_length is None:
            raise UserError(
                f"{self.name} does not tell how many tokens it takes; give --max-length (in an "
                "experiment the key max_length of this reference model or judge)"
            )
        if asked is not None and self.max_length is not None and asked > self.max_length:
            raise UserError(
                f"--max-length (in an experiment max_length) is {asked:,}, but {self.name} takes "
                f"{self.max_length:,} tokens; lower it"
            )
        return asked or self.max_length

    def encode(self, group: PromptGroup) -> list[Conversation]:
        """Return a conversation for each response."""
        return self.format.encode(group)

    @torch.inference_mode()
    def score(
        self, batch: list[Conversation], token_rewards: bool
    ) -> list[tuple[float, np.ndarray | None]]:
        """Return reward and, if asked for, the rewards of the response's tokens, [n_tokens]."""
        with autocast(self.model.device.type, self.dtype):
            if not self.has_token_rewards:
                return [(reward, None) for reward in self._logits(batch)]
            states = hidden_states(self.model, batch, self.layout)
            flat = rewards_of_tokens(self.model, states.hidden).cpu().numpy()
        scores = []
        for conversation, places in zip(batch, states.places, strict=True):
            own = flat[places.numpy()]
            scores.append((own[self._place(conversation)], own if token_rewards else None))
        return scores

    def _place(self, conversation: Conversation) -> int:
        """The response token whose reward is the response's."""
        ids = np.array(conversation.response.ids)
        real = np.flatnonzero(ids != self.pad_token_id)
        return int(real[-1]) if len(real) else -1

    def _logits(self, batch: list[Conversation]) -> list[float]:
        """Ask the model's own class, with padding where it knows of one, else row by row."""
        rows = [torch.tensor(each.prompt + each.response.ids) for each in batch]
        pad = self.pad_token_id
        logits = []
        for part in [rows] if pad is not None else [[row] for row in rows]:
            ids = pad_sequence(part, batch_first=True, padding_value=pad or 0)
            lengths = torch.tensor([len(row) for row in part])
            mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
            device = self.model.device
            output = self.model(input_ids=ids.to(device), attention_mask=mask.to(device))
            logits += output.logits.float().reshape(len(part), -1)[:, 0].tolist()
        return logits


def open_reward_model(
    source: str | Path,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    precision: str = "fp32",
) -> RewardModel:
    """Open a local folder or a hub id for scoring, on the GPU where there is one.

    Args:
        revision: branch, tag or commit on the hub.
        trust_remote_code: let code that comes with the model run; on the hub only at a full commit.
        precision: ``fp32`` or ``bf16`` (which CPUs ignore).
    Raises:
        UserError: the model cannot be had or loaded, has another number of labels than one, or no
            chat template.
    """
    files = find_model(source, revision, trust_remote_code)
    return open_files(files, trust_remote_code, precision)


def open_files(files: ModelFiles, trust_remote_code: bool, precision: str) -> RewardModel:
    """Open a model whose files are there, see `open_reward_model`."""
    if not trust_remote_code:
        consent = "give --trust-remote-code (in an experiment the key trust_remote_code)"
        refuse_remote_code(files.folder, REWARD_MODEL, files.name, consent)
    config = load_config(files.folder, trust_remote_code)
    _check_classifier(config, files.name)
    packed = is_packable(config) and not (trust_remote_code and hasattr(config, "auto_map"))
    tokenizer = load_part(AutoTokenizer.from_pretrained, files.folder, trust_remote_code)
    chat_format = RenderedFormat(tokenizer) if files.facts is None else OwnFormat(tokenizer)
    dtype = working_dtype(precision)
    # Our models compute in bfloat16 on weights in float32, as in training.
    weights = dtype if files.facts is None else torch.float32
    attention = ATTENTION if packed else None
    model = load_classifier(files.folder, trust_remote_code, attention, weights).to(best_device())
    layout = "packed" if packed else "padded"
    length = context_length(config, tokenizer)
    opened = RewardModel(model, chat_format, files, layout, dtype, length)
    if opened.has_token_rewards:
        model.score.float()
    return opened


def _check_classifier(config: PreTrainedConfig, name: str) -> None:
    architectures = ", ".join(config.architectures or ())
    if architectures.endswith("ForCausalLM"):
        raise UserError(
            f"{name} is a language model ({architectures}) without a reward head; give a "
            "sequence-classification reward model"
        )
    if config.num_labels != 1:
        raise UserError(
            f"{name} has {config.num_labels} labels, but a reward model has one; give another model"
        )


def context_length(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return how many tokens the model takes; None where neither of the two tells."""
    length = getattr(config.get_text_config(), "max_position_embeddings", None)
    length = length or tokenizer.model_max_length
    return None if length > 10**9 else length  # transformers' way to say that it is not known
