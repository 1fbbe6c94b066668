"""What is trained: a decoder and, where a term asks for it, an LM head beside it."""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from steps.cache.tokens import TokenStore
from steps.layouts import States, compute_states
from steps.lm_head import token_log_probs
from steps.objectives.batch import Batch
from steps.objectives.term import Need
from steps.train.arrange import arrange, flat_indices
from steps.train.batches import TrainingGroup


def scale_gradient(hidden: Tensor, scale: float) -> Tensor:
    """Return ``hidden`` itself, whose gradient is multiplied by ``scale``."""
    return hidden.detach() + scale * (hidden - hidden.detach())


class LanguageModule(nn.Module):
    """Computes what the loss terms of a micro-batch see, save for rewards.

    Attributes:
        model: the language or reward model, perhaps with adapters.
        lm_head: [V, D], trained copy of the LM head, or None.
    """

    def __init__(
        self,
        model: nn.Module,
        cache: TokenStore,
        first_layer: int | None,
        layout: str,
        needs: frozenset[Need],
        lm_weight: Tensor | None,
        lm_head: str,
        lm_gradient_scale: float,
    ):
        """Put the parts together.

        Args:
            first_layer: the first trained layer, whose input the cache holds; None runs the whole
                model on the cached tokens.
            layout: ``packed`` or ``padded``.
            lm_weight: [V, D] LM head of the backbone, None where no term needs it.
            lm_head: ``copy`` trains a copy of it, ``tied`` uses it as it is.
            lm_gradient_scale: factor of the LM terms' gradient into the backbone.
        """
        super().__init__()
        self.model = model
        self.cache, self.first_layer, self.layout = cache, first_layer, layout
        self.needs, self.lm_gradient_scale = needs, lm_gradient_scale
        self.lm_head = None
        if lm_weight is not None and lm_head == "copy":
            self.lm_head = nn.Parameter(lm_weight.detach().clone().float())
        # In a list, so that it is no parameter or buffer of this module: it is the backbone's. Left
        # out where it is the embedding, which is looked up at every use: sharding replaces it.
        self.tied_lm_weight: list[Tensor] = []
        if lm_weight is not None and lm_head == "tied":
            embedding = self.unwrapped.get_input_embeddings().weight
            if lm_weight.data_ptr() != embedding.data_ptr():
                self.tied_lm_weight.append(lm_weight)

    @property
    def unwrapped(self) -> PreTrainedModel:
        """The model with its head and adapters, without the wrapper of peft."""
        model = self.model
        return model.get_base_model() if hasattr(model, "get_base_model") else model

    @property
    def config(self):
        return self.unwrapped.config

    @property
    def main_parameters(self) -> list[nn.Parameter]:
        """What is trained at the run's learning rate: all but the LM head."""
        return [p for p in self.model.parameters() if p.requires_grad]

    def forward(self, groups: list[TrainingGroup]) -> Batch:
        """Compute the pairs (or labelled responses) of ``groups``."""
        cached = [group.cached for group in groups]
        states = compute_states(self.unwrapped, self.cache, cached, self.layout, self.first_layer)
        rewards = self.rewards(states.hidden)
        chosen, rejected = flat_indices(groups)
        lm_rows = set(chosen.tolist()) if Need.LM_OF_CHOSEN in self.needs else set()
        lm_rows |= set(rejected.tolist()) if Need.LM_OF_REJECTED in self.needs else set()
        lm_log_probs = None
        if self.needs & {Need.LM_OF_CHOSEN, Need.LM_OF_REJECTED}:
            lm_log_probs = self._lm_log_probs(groups, states, sorted(lm_rows))
        return arrange(groups, states, rewards, self.cache.log_probs, lm_log_probs)

    def rewards(self, hidden: Tensor) -> Tensor | None:
        """Return the reward at every position, [N], in float32; None: this model gives none."""
        return None

    def _lm_log_probs(
        self, groups: list[TrainingGroup], states: States, rows: list[int]
    ) -> list[Tensor]:
        """Return each response's token log-probabilities; those of others than ``rows`` are empty.

        The empty ones come from the head too, which then takes part where ``rows`` is empty: its
        gradient is zero and not missing, as data-parallel training and clipping need it.
        """
        spans = [span for group in groups for span in group.cached.span.responses]
        tokens = [torch.from_numpy(self.cache.tokens[slice(*spans[k])]).long() for k in rows]
        none = torch.zeros(0, dtype=torch.int64)
        sources = torch.cat([none, *(states.sources[k] for k in rows)])
        device = states.hidden.device
        hidden = scale_gradient(states.hidden[sources.to(device)], self.lm_gradient_scale)
        targets = torch.cat([none, *tokens]).to(device)
        flat = token_log_probs(hidden, self._lm_weight(), targets)
        computed = dict(zip(rows, flat.split([len(part) for part in tokens]), strict=True))
        return [computed.get(k, flat[:0]) for k in range(len(spans))]

    def _lm_weight(self) -> Tensor:
        """Return the LM head, [V, D]."""
        if self.lm_head is not None:
            return self.lm_head
        if self.tied_lm_weight:
            return self.tied_lm_weight[0]
        return self.unwrapped.get_input_embeddings().weight
