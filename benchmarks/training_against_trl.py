"""Training throughput against trl's RewardTrainer at its best.

Both train every weight of the same model on the same token ids with the same precision, threads
and pairs per optimiser step. trl takes the fastest of several micro-batch sizes on rows sorted by
length, with AdamW's fused form, its default. Activation checkpointing, a default of trl that would
slow it down, is switched off.
"""

from dataclasses import replace
from functools import partial

import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, PrinterCallback
from trl import RewardConfig
from trl import RewardTrainer as TrlTrainer

from benchmarks.flops import training_flops
from benchmarks.ours import first_rewards, make_trainer, training_work
from benchmarks.rows import Row, rate_row
from benchmarks.setting import Setting
from benchmarks.texts import groups_with, middle, training_pairs
from benchmarks.timing import TOLERANCE, against_fastest, check_equal, training_run
from steps.backbone import load_tokenizer
from steps.cache.encode import encode_groups
from steps.cache.tokens import MemoryStore
from steps.device import best_device
from steps.groups.schema import PromptGroup
from steps.train.batches import TrainingGroup
from steps.train.save import padding_token
from steps.train.trainer import RewardTrainer

PAIRS = "training, one pair per prompt"


def against_trl(setting: Setting) -> Row:
    """Prompts with one pair each: what is gained is the padding and one of two prompts."""
    setting = setting.with_training(groups_per_step=setting.size.pairs)
    return _compare(setting, training_pairs(setting), PAIRS, ">= 1.5")


def against_trl_with_groups(setting: Setting) -> Row:
    """A prompt with two right and two wrong responses: its four pairs share the four responses."""
    sizes = tuple(size for size in setting.size.batch_sizes if size <= 4)
    size = replace(setting.size, pairs=4, batch_sizes=sizes)
    setting = replace(setting.with_training(groups_per_step=1), size=size)
    groups = middle(setting, groups_with(setting.groups, 2, 2), 1)
    return _compare(setting, groups, "training, four pairs of four responses per prompt", None)


def _compare(setting: Setting, groups: list[PromptGroup], name: str, target: str | None) -> Row:
    store = MemoryStore(encode_groups(groups, setting.chat))
    ours = make_trainer(setting, "orm", store, groups)
    rows = pair_rows(ours)
    by_length = sorted(rows, key=lambda row: max(map(len, row.values())))
    theirs = partial(trl_trainer, setting, ours, by_length)
    _check_rewards(name, setting, ours, theirs(1), rows)
    sizes = [size for size in setting.size.batch_sizes if setting.size.pairs % size == 0]
    ways = {size: lambda size=size: training_run(theirs(size)) for size in sizes}
    seconds, best = against_fastest(training_run(ours), ways, setting.size.rounds)
    useful = sum(_useful_tokens(group) for group in ours.groups)
    return rate_row(
        setting.machine,
        seconds,
        amount=useful,
        flops=training_flops(setting.config, training_work(ours), "full"),
        name=name,
        work=f"{len(rows)} pairs, {setting.size.pairs} a step, every weight; a pair's prompt "
        "counts once",
        peer_name=f"trl.RewardTrainer, micro-batches of {best}",
        unit=f"tokens/s (a pair has {useful / len(rows):.0f})",
        target=target,
    )


def _check_rewards(
    name: str, setting: Setting, ours: RewardTrainer, theirs: TrlTrainer, rows: list[dict]
) -> None:
    what = f"{name}: rewards before the first step"
    wanted = trl_rewards(theirs, rows)
    check_equal(what, first_rewards(ours), wanted, TOLERANCE[setting.dtype])


def _useful_tokens(group: TrainingGroup) -> int:
    """Return the tokens of all pairs of a prompt, the prompt counted once for each pair."""
    start, end = group.cached.span.prompt
    lengths = group.lengths
    responses = int(lengths.chosen.sum() + lengths.rejected.sum())
    return responses + lengths.pairs * (end - start)


def pair_rows(trainer: RewardTrainer) -> list[dict[str, list[int]]]:
    """Return the token ids of all pairs, as trl takes them."""
    store, rows = trainer.model.cache, []
    for group in trainer.groups:
        span = group.cached.span
        prompt = store.tokens[slice(*span.prompt)].tolist()
        responses = [prompt + store.tokens[slice(*r)].tolist() for r in span.responses]
        sides = zip(group.chosen.tolist(), group.rejected.tolist(), strict=True)
        rows += [{"chosen_ids": responses[c], "rejected_ids": responses[r]} for c, r in sides]
    return rows


def trl_trainer(
    setting: Setting, ours: RewardTrainer, rows: list[dict], batch_size: int
) -> TrlTrainer:
    """Return trl's trainer of the same weights; rows are taken in their order."""
    model = AutoModelForSequenceClassification.from_pretrained(
        setting.backbone, num_labels=1, dtype=torch.float32, attn_implementation="sdpa"
    )
    model.load_state_dict(ours.model.model.state_dict())
    tokenizer = load_tokenizer(setting.backbone, setting.experiment)
    tokenizer.pad_token = padding_token(tokenizer)
    training = setting.experiment.training
    arguments = RewardConfig(
        output_dir=str(setting.work / "trl"),
        num_train_epochs=1,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=setting.size.pairs // batch_size,
        train_sampling_strategy="sequential",
        learning_rate=training.learning_rate,
        max_grad_norm=training.max_gradient_norm,
        max_length=None,
        gradient_checkpointing=None,  # the old name of the next one
        activation_checkpointing=False,
        bf16=setting.dtype == torch.bfloat16,
        use_cpu=best_device().type == "cpu",
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=0,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # one GPU on either side
    trainer = TrlTrainer(
        model, arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


@torch.no_grad()
def trl_rewards(trainer: TrlTrainer, rows: list[dict[str, list[int]]]) -> torch.Tensor:
    """Return the rewards of the chosen, then the rejected responses of all rows, [2 B]."""
    trainer.model.eval()
    sides = []
    for row in rows:
        batch = {k: v.to(trainer.args.device) for k, v in trainer.data_collator([row]).items()}
        with trainer.accelerator.autocast():
            sides.append(trainer.model(**batch).logits[:, 0].float().cpu())
    return torch.stack(sides, 1).flatten()
