"""The policy part of an experiment file: sampled responses and the pairs that are made of them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from steps.config.dpo import Dpo, PolicyEvaluation
from steps.config.prompts import ReleasePrompts
from steps.config.sampling import Sampling
from steps.config.section import Section

# What samples are for: DPO pairs on training prompts, best-of-N candidates on held-out prompts,
# and the trained policies' own answers to those, greedy and (for their divergence too) drawn.
SampleUse = Literal["pairs", "best_of_n", "policies", "policies_sampled"]


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
