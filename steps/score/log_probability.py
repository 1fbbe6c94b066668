"""The mean log-probability of a response under a language model: the generator as a baseline.

The logits of all tokens never exist at once, see `steps.lm_head`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, PreTrainedModel

from steps.backbone import is_packable, load_config, load_language_model, load_part
from steps.device import best_device, working_dtype
from steps.groups.schema import PromptGroup
from steps.lm_head import token_log_probs
from steps.packing import ATTENTION
from steps.score.batches import hidden_states
from steps.score.conversation import Conversation, OwnFormat
from steps.score.model_files import ModelFiles, find_model
from steps.score.reward_model import context_length
from steps.score.stream import OnError, ScoredGroup, stream_groups


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model as a scorer; the attributes are those of a `RewardModel`."""

    model: PreTrainedModel
    format: OwnFormat
    files: ModelFiles
    layout: str
    max_length: int

    @property
    def name(self) -> str:
        return self.files.name

    @property
    def content_hash(self) -> str:
        """SHA-256 of the model's files."""
        return self.files.sha256

    def encode(self, group: PromptGroup) -> list[Conversation]:
        """Return a conversation for each response."""
        return self.format.encode(group)

    @torch.inference_mode()
    def score(
        self, batch: list[Conversation], token_rewards: bool
    ) -> list[tuple[float, np.ndarray | None]]:
        """Return the mean log-probability of each response's tokens and, if asked for, all."""
        device = self.model.device
        states = hidden_states(self.model, batch, self.layout)
        targets = torch.tensor([i for each in batch for i in each.response.ids], device=device)
        sources = torch.cat(states.sources).to(device)
        head = self.model.get_output_embeddings().weight
        flat = token_log_probs(states.hidden[sources], head, targets).cpu().numpy()
        ends = np.cumsum([len(each.response.ids) for each in batch])
        parts = np.split(flat, ends[:-1])
        # In float64, as the baseline of the evaluation is.
        return [(part.mean(dtype=np.float64), part if token_rewards else None) for part in parts]


def open_language_model(
    source: str | Path,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    precision: str = "fp32",
) -> LanguageModel:
    """Open a local folder or a hub id; the arguments are those of `open_reward_model`."""
    files = find_model(source, revision, trust_remote_code)
    config = load_config(files.folder, trust_remote_code)
    packed = is_packable(config) and not (trust_remote_code and hasattr(config, "auto_map"))
    tokenizer = load_part(AutoTokenizer.from_pretrained, files.folder, trust_remote_code)
    chat_format = OwnFormat(tokenizer)
    attention, dtype = ATTENTION if packed else None, working_dtype(precision)
    model = load_language_model(files.folder, trust_remote_code, attention, dtype)
    layout = "packed" if packed else "padded"
    length = context_length(config, tokenizer, files.name)
    return LanguageModel(model.to(best_device()), chat_format, files, layout, length)


def log_probability_stream(
    backbone: LanguageModel,
    groups: Iterable[PromptGroup],
    *,
    max_length: int | None = None,
    truncate: bool = False,
    token_rewards: bool = False,
    tokens_per_batch: int = 4096,
    on_error: OnError | None = None,
) -> Iterator[ScoredGroup]:
    """Yield the mean log-probability of every response as its reward, in order.

    The arguments are those of `steps.score.stream.score_stream`; token rewards are the tokens'
    log-probabilities.
    """
    return stream_groups(
        backbone, groups, max_length, truncate, token_rewards, tokens_per_batch, on_error
    )
