"""The training loop on the frozen lower layers' cached hidden states."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, get_cosine_schedule_with_warmup

from steps.backbone import upper_parameters
from steps.cache.store import Cache
from steps.config.schema import Training
from steps.errors import UserError
from steps.objectives.batch import PairBatch
from steps.objectives.objective import Objective
from steps.progress import Progress
from steps.train.batches import TrainingGroup, step_plan
from steps.train.forward import forward_group


@dataclass
class Trainer:
    """Trains ``model`` above ``first_layer`` on one objective; `train` returns the log.

    One optimiser step sees ``groups_per_step`` whole prompt groups, one micro-batch each. Every
    response is computed once, for all the pairs that it is in.
    """

    model: PreTrainedModel
    lm_head_weight: Tensor
    cache: Cache
    groups: list[TrainingGroup]
    objective: Objective
    settings: Training
    first_layer: int
    seed: int
    name: str

    def train(self) -> list[dict[str, float]]:
        """Run all steps; return one row per step for the training log."""
        self.model.train().requires_grad_(False)
        trained = upper_parameters(self.model, self.first_layer)
        for parameter in trained:
            parameter.requires_grad_(True)
        self.lm_head = self._lm_head()
        steps = step_plan(
            len(self.groups), self.settings.groups_per_step, self.settings.epochs, self.seed
        )
        optimisers, scheduler = self._optimisers(trained, len(steps))
        tokens = [g.cached.span.tokens for g in self.groups]
        progress = Progress(self.name, sum(tokens[i] for s in steps for i in s), "tokens")
        log = []
        for number, members in enumerate(steps):
            groups = [self.groups[i] for i in members]
            row = {"step": number + 1} | self._step(groups, trained)
            row["learning_rate"] = scheduler.get_last_lr()[0]
            for optimiser in optimisers:
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
            scheduler.step()
            log.append(row)
            note = f"loss {row['loss']:.4f}"
            progress.advance(sum(tokens[i] for i in members), note)
        return log

    def _lm_head(self) -> Tensor | None:
        if not self.objective.needs_language_model:
            return None
        if self.settings.lm_head == "tied":
            return self.lm_head_weight
        return nn.Parameter(self.lm_head_weight.clone())

    def _optimisers(self, trained: list[nn.Parameter], steps: int):
        settings = self.settings
        main = torch.optim.AdamW(
            trained, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        scheduler = get_cosine_schedule_with_warmup(
            main, math.ceil(settings.warmup_share * steps), steps
        )
        optimisers = [main]
        if isinstance(self.lm_head, nn.Parameter):
            # A fixed rate, without warm-up or decay, as in the release.
            head = torch.optim.AdamW(
                [self.lm_head], lr=settings.lm_head_learning_rate, weight_decay=0.0
            )
            optimisers.append(head)
        return optimisers, scheduler

    def _step(self, groups: list[TrainingGroup], trained: list[nn.Parameter]) -> dict[str, float]:
        """Accumulate the gradient of one optimiser step and describe it."""
        lengths = [group.pair_lengths for group in groups]
        if self.objective.needs_first_look:
            self.objective.begin_step(lengths)
            with torch.no_grad():
                for group in groups:
                    self.objective.loss(self._forward(group))
            self.objective.end_step()
        state = self.objective.state()
        self.objective.begin_step(lengths)
        loss, right = 0.0, 0
        for group in groups:
            batch = self._forward(group)
            part = self.objective.loss(batch)
            if not torch.isfinite(part):
                raise UserError(
                    f"{self.name}: the loss is {part.item()} on group '{group.cached.group_id}'; "
                    "lower training.learning_rate or look at this group's texts"
                )
            part.backward()
            loss += part.item()
            right += _right(batch)
        norm = nn.utils.clip_grad_norm_(trained, self.settings.max_gradient_norm)
        self.objective.end_step()
        pairs = sum(len(group.chosen) for group in groups)
        row = {"pairs": pairs, "loss": loss, "pair_accuracy": right / pairs}
        return row | self.objective.values | state | {"gradient_norm": norm.item()}

    def _forward(self, group: TrainingGroup) -> PairBatch:
        return forward_group(
            self.model,
            self.cache,
            group,
            self.first_layer,
            self.lm_head,
            self.settings.lm_gradient_scale,
        )


def _right(batch: PairBatch) -> int:
    """Pairs whose chosen reward is strictly greater."""
    return int((batch.chosen.final_rewards > batch.rejected.final_rewards).sum())
