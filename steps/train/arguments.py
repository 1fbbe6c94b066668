"""The arguments of `transformers.Trainer` for one run."""

from pathlib import Path

import torch
from transformers import TrainingArguments

from steps.config.schema import Training


def training_arguments(settings: Training, work: Path, steps: int, seed: int) -> TrainingArguments:
    """Return the arguments of `transformers.Trainer` for one run of ``steps`` optimiser steps."""
    arguments = TrainingArguments(
        output_dir=str(work),
        max_steps=steps,
        per_device_train_batch_size=1,  # one optimiser step, see `steps.train.trainer`
        learning_rate=settings.learning_rate,
        max_grad_norm=settings.max_gradient_norm,
        bf16=settings.precision == "bf16" and torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=settings.checkpoint_steps,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,  # there is none that training changes
        log_level="error",
    )
    # One process, one GPU: several are used through torchrun, not through `nn.DataParallel`.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
