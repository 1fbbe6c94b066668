"""What an experiment file may say. Every value that changes a number is here, none in the code."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from steps.config.backbones import (
    Backbone,
    HubBackbone,
    LocalBackbone,
    ReferenceModel,
    SmolLM2Backbone,
    TinyBackbone,
    model_folder,
)
from steps.config.benchmarks import BenchmarkData
from steps.config.dpo import HubJudge
from steps.config.generator import Cache, FineTuning, Generator
from steps.config.hub_data import (
    HubData,
    HubSet,
    Prm800kData,
    SampledSet,
    SkyworkData,
    UnifiedFeedbackData,
)
from steps.config.lora import Lora
from steps.config.policy import Policy
from steps.config.section import NAME_PATTERN, Name, Section
from steps.config.training import BradleyTerry, Consistency, Ensemble, Grm, Training
from steps.errors import UserError
from steps.objectives.registry import ensemble_base

# Sections that stand in files of their own, to be had from here too.
__all__ = [
    "Backbone",
    "BradleyTerry",
    "Cache",
    "Consistency",
    "Ensemble",
    "FineTuning",
    "Generator",
    "Grm",
    "HubBackbone",
    "LocalBackbone",
    "Lora",
    "SmolLM2Backbone",
    "TinyBackbone",
    "Training",
    "model_folder",
]

# Single responses in which a human marked the first wrong step: made to locate mistakes, not to
# compare responses, so this set is neither balanced nor paired nor pooled with others.
ANNOTATED_SET = "first_wrong_step"


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
    evaluation: dict[Name, str] = Field(min_length=1)


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
    # Leave out evaluation prompts that have fewer even so: every N of best-of-N up to this number
    # is then measured on the same prompts.
    evaluation_responses_required: bool = False
    # Also evaluation prompts whose responses are all right or all wrong, as published best-of-N
    # numbers count them; they have no pair.
    one_sided_prompts: bool = False
    # Most tokens of the training set and of each evaluation set; a set without a key is whole.
    token_budget: dict[str, Annotated[int, Field(gt=0)]] = Field({})
    seed: int = 0

    @model_validator(mode="after")
    def _required_number(self) -> "Selection":
        if self.evaluation_responses_required and self.evaluation_responses == 0:
            raise ValueError(
                "`evaluation_responses_required` needs `evaluation_responses`, the number required"
            )
        return self


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
    # `title`, `policy` and, where the other has neither these nor `reference_models`, `benchmarks`
    # are its own.
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
    benchmarks: dict[Name, BenchmarkData] = Field({})
    # Reward models of others: rows of all tables, scored by the same evaluator.
    reference_models: dict[Name, ReferenceModel] = Field({})
    policy: Policy | None = None  # null: reward models only
    # Threads of one job. A number changes with the order of additions, so this is part of the
    # experiment; Snakemake runs as many jobs at once as there are cores.
    threads: int = Field(1, ge=1)

    @field_validator("benchmarks", mode="before")
    @classmethod
    def _name_benchmarks(cls, entries: Any) -> Any:
        if not isinstance(entries, dict):
            return entries
        return {
            name: {"benchmark": name} | entry if isinstance(entry, dict) else entry
            for name, entry in entries.items()
        }

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
            case HubData() as data:
                return data.evaluation_sets
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
        wanted = self.policy.methods or self.methods
        methods = [m for m in self.methods if m in wanted and m not in self.ensembles]
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
    def models(self) -> dict[str, Backbone | HubJudge]:
        """The models that an experiment starts from, by their role."""
        models = {"backbone": self.backbone, "generator": self.generator_model}
        further = {n: s for n, s in self.sampled_sets.items() if n != "train"}
        models |= {f"data.evaluation.{n}.model": s.model for n, s in further.items()}
        models |= {f"reference_models.{n}": m for n, m in self.reference_models.items()}
        judges = self.policy.evaluation.hub_judges if self.policy else {}
        return models | {f"policy.evaluation.judges.{n}": j for n, j in judges.items()}

    @property
    def generator_is_backbone(self) -> bool:
        """Whether the generator has the backbone's own weights."""
        return self.generator_model == self.backbone and self.generator.fine_tuning is None

    @property
    def sampled_sets(self) -> dict[str, SampledSet]:
        """The sets whose solutions are sampled; 'train' has those of the validation too."""
        data = self.data
        if not isinstance(data, Prm800kData):
            return {}
        if data.sampling is None:
            return data.sampled_evaluation
        model = self.generator_model
        train = SampledSet(
            problems=data.problems, first=data.first, model=model, sampling=data.sampling
        )
        return {"train": train} | data.sampled_evaluation

    def sampled_set(self, name: str) -> SampledSet:
        """Return a set whose solutions are sampled; a `UserError` if it is none."""
        if name not in self.sampled_sets:
            key = "data.sampling" if name == "train" else f"data.evaluation.{name}.sampling"
            raise UserError(f"the experiment file lacks {key}; give its samples and max_new_tokens")
        return self.sampled_sets[name]

    @property
    def hub_sets(self) -> list[HubSet]:
        """The data sets that the download step fetches from the hub."""
        return self.data.hub_sets() if isinstance(self.data, HubData) else []

    def backbone_folder(self) -> Path:
        """Where the backbone lies once the download step has run (relative to the root)."""
        return model_folder(self.backbone)
