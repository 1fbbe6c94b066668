"""`transformers.Trainer` for reward and language models: its loop, logging, checkpoints and
processes, with optimiser steps of whole prompt groups and losses that are exact over a whole step.

One "batch" of the loop is an optimiser step. `training_step` computes this process's share of it,
micro-batch by micro-batch, so that neither the size of a micro-batch nor the number of processes
changes the gradient.
"""

import contextlib
import math
from pathlib import Path
from typing import Any, NoReturn

import torch
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback

from steps.config.schema import Training
from steps.errors import UserError
from steps.files import read_json, write_json
from steps.objectives.batch import Batch
from steps.objectives.objective import Objective
from steps.train.arguments import training_arguments
from steps.train.batches import MicroBatch, TrainingGroup, padding_share, share_out, step_plan
from steps.train.callbacks import ShowProgress
from steps.train.language_module import LanguageModule
from steps.train.optimiser import make_optimizer, make_scheduler
from steps.train.sharding import all_finite, whole
from steps.train.trained import load_trained, save_trained
from steps.train.training_state import PlainState

OBJECTIVE = "objective.json"


class RewardTrainer(PlainState, Trainer):
    """Trains a module on one objective; the log is `state.log_history`."""

    def __init__(
        self,
        module: LanguageModule,
        objective: Objective,
        groups: list[TrainingGroup],
        settings: Training,
        work: Path,
        seed: int,
        name: str,
        callbacks: list[TrainerCallback] | None = None,
    ):
        self.objective, self.groups, self.settings, self.name = objective, groups, settings, name
        self.plan = step_plan(len(groups), settings.groups_per_step, settings.epochs, seed)
        self.row: dict[str, float] = {}
        arguments = training_arguments(settings, work, len(self.plan), seed)
        super().__init__(module, arguments, train_dataset=self.plan, callbacks=callbacks)
        self.remove_callback(PrinterCallback)
        if self.is_world_process_zero():
            self.add_callback(ShowProgress(name, self.plan, groups))

    # --- data

    def get_train_dataloader(self) -> DataLoader:
        """Every process reads the whole plan: the counts of a step need all of its groups."""
        return DataLoader(self.plan, batch_size=1, collate_fn=lambda steps: steps[0])

    def _process_shares(self, members: list[int]) -> list[list[MicroBatch]]:
        padded = self.settings.layout == "padded"
        groups = [self.groups[i] for i in members]
        return share_out(groups, self.args.world_size, self.settings.tokens_per_batch, padded)

    # --- optimisation

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            module = self.accelerator.unwrap_model(model or self.model)
            self.optimizer = make_optimizer(module, self.settings)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer=None):
        if self.lr_scheduler is None:
            optimizer = optimizer or self.optimizer
            self.lr_scheduler = make_scheduler(optimizer, self.settings, num_training_steps)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _clip_grad_norm(self, model: nn.Module) -> Tensor:
        """Clip without the LM head, whose gradient is not scaled down and would drown the rest.

        A finite loss may have a gradient that is not: it must reach neither the weights nor the
        checkpoint that takes the last one's place.
        """
        module = self.accelerator.unwrap_model(model)
        norm = self.accelerator.clip_grad_norm_(module.main_parameters, self.args.max_grad_norm)
        norm, head = whole(norm), module.lm_head
        if not norm.isfinite() or (head is not None and not all_finite(head.grad)):
            members = self.plan[self.state.global_step]
            self._stop("gradient", "not finite", [self.groups[i] for i in members])
        return norm

    def training_step(self, model: nn.Module, inputs: list[int], num_items_in_batch=None) -> Tensor:
        """Accumulate this process's share of one optimiser step's gradient."""
        model.train()
        shares = self._process_shares(inputs)
        lengths = [g.lengths for share in shares for b in share if b.counts for g in b.groups]
        own = shares[self.args.process_index]
        if self.objective.needs_first_look:
            self._first_look(model, own, lengths)
        state = self.objective.state()
        self.objective.begin_step(lengths)
        # On the device until the end of the step: no micro-batch waits for a number.
        totals = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        parts: list[tuple[Tensor, MicroBatch]] = []
        for number, micro_batch in enumerate(own):
            last = number == len(own) - 1
            with contextlib.nullcontext() if last else self.accelerator.no_sync(model):
                batch = model(micro_batch.groups)
                part = self._part(batch, micro_batch)
                # Data-parallel training averages over processes; the parts add up.
                self.accelerator.backward(part * self.args.world_size)
            if micro_batch.counts:
                totals += torch.stack([part.detach().double(), _right(batch)])
                parts.append((part.detach(), micro_batch))
        self.objective.end_step(self._over_processes)
        loss, right = (self._over_processes(value) for value in totals.tolist())
        self._check_finite(loss, parts)
        row = {"pairs": sum(part.pairs for part in lengths), "loss": loss}
        if batch.chosen.rewards is not None:
            row["pair_accuracy"] = right / max(row["pairs"], 1)
        if self.settings.layout == "padded":
            row["padding_share"] = padding_share([b for share in shares for b in share])
        # The state is that which the step used.
        self.row = row | self.objective.values | state
        return torch.tensor(loss, device=self.args.device)

    def _first_look(self, model: nn.Module, own: list[MicroBatch], lengths: list) -> None:
        self.objective.begin_step(lengths)
        # Not through the data-parallel wrapper: a process may have nothing to look at.
        module = self.accelerator.unwrap_model(model)
        with torch.no_grad(), self.accelerator.autocast():
            parts = [(self.objective.loss(module(b.groups)), b) for b in own if b.counts]
        self.objective.end_step(self._over_processes)
        # What it remembers now enters every part of the step: the bad ones are still known here.
        self._check_finite(self._over_processes(sum(part.item() for part, _ in parts)), parts)

    def _part(self, batch: Batch, micro_batch: MicroBatch) -> Tensor:
        if not micro_batch.counts:
            return 0.0 * sum(p.sum() for p in self._touched(batch))
        return self.objective.loss(batch)

    def _check_finite(self, loss: float, parts: list[tuple[Tensor, MicroBatch]]) -> None:
        """Stop if ``loss`` of all processes is no number; ``parts`` are this process's share."""
        if not math.isfinite(loss):
            bad = [g for part, cut in parts if not part.isfinite() for g in cut.groups]
            self._stop("loss", str(loss), bad)

    def _stop(self, what: str, value: str, groups: list[TrainingGroup]) -> NoReturn:
        """Stop all processes; each brings the groups that it suspects."""
        names = sorted(set(gather_object([f"'{group.cached.group_id}'" for group in groups])))
        raise UserError(
            f"{self.name}: the {what} of step {self.state.global_step + 1} is {value} on "
            f"{', '.join(names)}; the last good checkpoint, if any, stays in "
            f"{self.args.output_dir} and serves this configuration and these texts only: delete "
            "that folder, then lower learning_rate, mend the texts, or correct the method"
        )

    @staticmethod
    def _touched(batch: Batch) -> list[Tensor]:
        sides = (batch.chosen, batch.rejected)
        tensors = [side.rewards for side in sides] + [side.lm_log_probs for side in sides]
        return [t for t in tensors if t is not None]

    def _over_processes(self, value: float) -> float:
        if self.args.world_size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.args.device)
        return self.accelerator.reduce(total, "sum").item()

    # --- log and checkpoints

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what this step found."""
        if "loss" in logs:
            logs |= self.row
        super().log(logs, start_time)

    def rows(self) -> list[dict[str, float]]:
        """Return the log, one row per optimiser step, over all interruptions."""
        rows = [dict(row) for row in self.state.log_history if "loss" in row]
        first = ("step", "epoch", "pairs", "loss", "pair_accuracy")
        for row in rows:  # the loop takes the whole plan for one epoch
            row["epoch"] = row["step"] * self.settings.epochs / len(self.plan)
        terms = [weighted.term.name for weighted in self.objective.terms]
        # A checkpoint keeps no order of keys, so the others stand in alphabetical order.
        order = [*first, *terms, *sorted(rows[0].keys() - {*first, *terms})]
        return [{k: row[k] for k in order if k in row} for row in rows]

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        module = self.accelerator.unwrap_model(self.model)
        save_trained(module, Path(output_dir), writes=self.args.should_save)

    def _save_own_state(self, checkpoint: Path) -> None:
        write_json(checkpoint / OBJECTIVE, self.objective.state())

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model=None) -> None:
        folder = Path(resume_from_checkpoint)
        load_trained(self.accelerator.unwrap_model(model or self.model), folder)
        self.objective.load_state(read_json(folder / OBJECTIVE))


def _right(batch: Batch) -> Tensor:
    """Return how many pairs (pointwise: responses) are on their label's side; 0 without rewards."""
    if batch.chosen.rewards is None:
        return torch.zeros((), dtype=torch.float64, device=batch.chosen.mask.device)
    chosen, rejected = batch.chosen.final_rewards, batch.rejected.final_rewards
    right = chosen > rejected if batch.paired else torch.cat([chosen > 0, rejected < 0])
    return right.sum().double()
