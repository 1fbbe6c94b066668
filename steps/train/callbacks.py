"""What the training loop does beside training: show how far it is, and end early when asked to."""

from collections.abc import Callable

import torch
from transformers import Trainer, TrainerCallback

from steps.progress import Progress
from steps.train.batches import TrainingGroup


class ShowProgress(TrainerCallback):
    """Shows tokens per second and the time left."""

    def __init__(self, name: str, plan: list[list[int]], groups: list[TrainingGroup]):
        self.name = name
        self.tokens = [sum(groups[i].cached.span.tokens for i in step) for step in plan]

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        done = sum(self.tokens[: state.global_step])
        self.progress = Progress(self.name, sum(self.tokens), "tokens", done)

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if logs and "loss" in logs:
            note = f"loss {logs['loss']:.4f}"
            self.progress.advance(self.tokens[state.global_step - 1], note)


class _Stop(TrainerCallback):
    def __init__(self, asked: Callable[[], bool]):
        self.asked = asked

    def on_step_end(self, args, state, control, **kwargs) -> None:
        if self.asked():
            control.should_save = control.should_training_stop = True


def stop_when(trainer: Trainer, asked: Callable[[], bool]) -> None:
    """Let a trainer save and end after the step in hand once ``asked`` says so on any process."""

    def asked_on_any() -> bool:
        if trainer.args.world_size == 1:
            return asked()
        here = torch.tensor(float(asked()), device=trainer.args.device)
        return trainer.accelerator.reduce(here, "sum").item() > 0

    trainer.add_callback(_Stop(asked_on_any))


def finished(trainer: Trainer) -> bool:
    """Whether the last step has been taken."""
    return trainer.state.global_step == trainer.state.max_steps
