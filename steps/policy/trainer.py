"""trl's `DPOTrainer` on pairs that are tokens already, with known reference log-probabilities.

Its loss of a pair with log-ratios l = log policy(y | x) - log reference(y | x) is
-log sigmoid(beta (l_chosen - l_rejected)) (arXiv 2305.18290, equation 7); beta l is called the
implicit reward, the difference of the two the implicit margin.
"""

import math
import os
import warnings
from pathlib import Path

import torch
from datasets import Dataset
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    TrainerCallback,
)
from transformers.trainer import TRAINING_ARGS_NAME
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from steps.config.dpo import Dpo
from steps.errors import UserError
from steps.policy.tokens import Sequence
from steps.progress import Progress
from steps.train.adapters import lora_config
from steps.train.training_state import PlainState


def dpo_arguments(settings: Dpo, work: Path, seed: int) -> DPOConfig:
    """Return the arguments of trl's trainer.

    Raises:
        UserError: the pairs of a step cannot be shared among the processes.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))  # set where there are several
    together = settings.pairs_per_batch * processes
    if settings.pairs_per_step % together:
        raise UserError(
            f"policy.dpo.pairs_per_step is {settings.pairs_per_step}, which {processes} processes "
            f"with {settings.pairs_per_batch} pairs at a time do not divide; use other numbers"
        )
    return DPOConfig(
        output_dir=str(work),
        beta=settings.beta,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.pairs_per_batch,
        gradient_accumulation_steps=settings.pairs_per_step // together,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_gradient_norm,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup_share,  # below 1 it is a share of all steps
        max_length=None,  # longer pairs were dropped before
        precompute_ref_log_probs=True,
        bf16=settings.precision == "bf16" and torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=settings.gradient_checkpointing,
        seed=seed,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=settings.checkpoint_steps,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        log_level="error",
    )


class PolicyTrainer(PlainState, DPOTrainer):
    """Trains a policy; `rows` is its log."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        pairs: list[tuple[Sequence, Sequence]],
        reference: list[tuple[float, float]],
        settings: Dpo,
        work: Path,
        seed: int,
        name: str,
        callbacks: list[TrainerCallback] | None = None,
    ):
        """Make ``model`` trainable: give it adapters, with the seed set before, or free it.

        Args:
            pairs: (chosen, rejected).
            reference: log-probabilities of both under the starting policy, in nats.
        """
        self.settings, self.name = settings, name
        rows = [
            {
                "prompt_ids": chosen.prompt,
                "chosen_ids": chosen.response,
                "rejected_ids": rejected.response,
                "ref_chosen_logps": of_chosen,
                "ref_rejected_logps": of_rejected,
            }
            for (chosen, rejected), (of_chosen, of_rejected) in zip(pairs, reference, strict=True)
        ]
        lora = None if settings.lora is None else lora_config(model, settings.lora, "CAUSAL_LM")
        model.requires_grad_(lora is None)
        with warnings.catch_warnings():  # peft still asks transformers by an older name
            warnings.simplefilter("ignore", FutureWarning)
            super().__init__(
                model,
                args=dpo_arguments(settings, work, seed),
                # Rows are masked by their lengths, whatever the filler.
                data_collator=DataCollatorForPreference(pad_token_id=0),
                train_dataset=Dataset.from_list(rows),
                processing_class=tokenizer,
                peft_config=lora,
                callbacks=callbacks,
            )
        self.remove_callback(PrinterCallback)
        if self.is_world_process_zero():
            self.add_callback(_ShowProgress(name, len(pairs) * settings.epochs, settings))

    # --- what trl would do by itself

    def _prepare_dataset(self, dataset: Dataset, *args) -> Dataset:
        """The pairs are tokens already, encoded as everywhere in the pipeline."""
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, *args) -> Dataset:
        """They are columns already, see `steps.policy.reference`."""
        return dataset

    def _send_telemetry(self) -> None:
        """Nothing is sent anywhere."""

    def create_model_card(self, *args, **kwargs) -> None:
        """The run card says what a model is, and its text has no time in it."""

    # --- log and checkpoints

    def _clip_grad_norm(self, model: PreTrainedModel) -> torch.Tensor:
        """Stop at a gradient that is no number, before it reaches weights and a checkpoint.

        That of a loss that is no number is none either.
        """
        norm = super()._clip_grad_norm(model)
        if not norm.isfinite():
            raise UserError(
                f"{self.name}: the gradient of step {self.state.global_step + 1} is not finite; "
                f"the last checkpoint, if any, stays in {self.args.output_dir} and serves this "
                "configuration only: delete that folder, then lower policy.dpo.learning_rate"
            )
        return norm

    def rows(self) -> list[dict[str, float]]:
        """Return the log, one row per optimiser step, over all interruptions.

        ``margin`` is the mean implicit margin, ``pair_accuracy`` the share of pairs where it is
        positive. ``kl`` is the mean of log reference - log policy over chosen and rejected
        responses, in nats per response: where the reference wrote them, an estimate of
        KL(reference || policy), biased by the choice of the pairs.
        """
        size, number = self.settings.pairs_per_step, len(self.train_dataset)
        per_epoch = math.ceil(number / size)
        return [
            {
                "step": row["step"],
                "epoch": row["epoch"],
                "pairs": size if row["step"] % per_epoch else number - (per_epoch - 1) * size,
                "loss": row["loss"],
                "pair_accuracy": row["rewards/accuracies"],
                "margin": row["rewards/margins"],
                "kl": 0.0 - (row["rewards/chosen"] + row["rewards/rejected"]) / 2 / self.beta,
                "grad_norm": row["grad_norm"],
                "learning_rate": row["learning_rate"],
            }
            for row in self.state.log_history
            if "rewards/margins" in row
        ]

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        super()._save(output_dir, state_dict)
        (Path(output_dir) / TRAINING_ARGS_NAME).unlink(missing_ok=True)  # a pickle; nobody reads it


class _ShowProgress(TrainerCallback):
    """Shows pairs per second and the time left."""

    def __init__(self, name: str, pairs: int, settings: Dpo):
        self.name, self.pairs, self.size = name, pairs, settings.pairs_per_step

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        done = min(state.global_step * self.size, self.pairs)
        self.progress = Progress(self.name, self.pairs, "pairs", done)

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if logs and "loss" in logs:
            amount = min(self.size, self.pairs - self.progress.done)
            self.progress.advance(amount, f"loss {logs['loss']:.4f}")
