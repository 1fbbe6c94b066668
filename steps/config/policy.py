"""The policy part of an experiment file: sampled responses and the pairs that are made of them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from steps.config.dpo import Dpo, PolicyEvaluation
from steps.config.prompts import ReleasePrompts
from steps.config.section import Section

# What samples are for: DPO pairs on training prompts, best-of-N candidates on held-out prompts,
# and the trained policies' own answers to those, greedy and (for their divergence too) drawn.
SampleUse = Literal["pairs", "best_of_n", "policies", "policies_sampled"]


class Sampling(Section):
    """How a language model answers prompts."""

    samples: int = Field(ge=1)  # of each prompt
    temperature: float = Field(1.0, ge=0)  # 0: greedy
    top_p: float = Field(1.0, gt=0, le=1)
    max_new_tokens: int = Field(ge=1)
    # Put below each prompt that the model reads, such as a request for a boxed final answer;
    # reward models and judges read the prompt without it.
    instruction: str | None = None
    tokens_per_batch: int = Field(16_384, gt=0)  # prompts and responses whose states are held
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16 on GPUs only; a CPU computes in fp32
    backend: Literal["transformers", "vllm"] = "transformers"
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _one_greedy_answer(self) -> "Sampling":
        if self.temperature == 0 and self.samples > 1:
            raise ValueError("`temperature: 0` always gives the same answer; set `samples: 1`")
        return self


class PairSelection(Section):
    """Which two samples of a prompt become its pair: those of highest and of lowest reward."""

    minimum_gap: float = Field(0.0, ge=0)  # of the two rewards, which must differ anyway
    drop_equal_texts: bool = True
    # Prompts that differ from an evaluation prompt by little more than their numbers, as generated
    # sums all do. Equal ones are always dropped.
    drop_near_duplicates: bool = True
    # Samples that were cut at max_new_tokens: DPO would learn an end of turn that was not written.
    drop_unfinished: bool = True
    seed: int = Field(0, ge=0)  # of the draw among samples of equal reward


class Policy(Section):
    """Sampling, pairs and policies."""

    # The evaluation set whose prompts are answered for best-of-N and by the trained policies; those
    # of the training set are answered for the pairs. Or prompts that no reward model knows.
    held_out: str | None = None
    prompts: ReleasePrompts | None = None
    # Of the reward models that policies are made of; null: all.
    methods: list[str] | None = Field(None, min_length=1)
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] | None = Field(None, min_length=1)
    sampling: dict[SampleUse, Sampling]
    pairs: PairSelection = PairSelection()
    dpo: Dpo | None = None  # null: no policy is trained
    evaluation: PolicyEvaluation = PolicyEvaluation()

    @model_validator(mode="after")
    def _one_source_of_prompts(self) -> "Policy":
        if (self.held_out is None) == (self.prompts is None):
            raise ValueError("give either `held_out`, an evaluation set, or `prompts`")
        return self
