"""How a language model answers prompts."""

from typing import Literal

from pydantic import Field, model_validator

from steps.config.section import Section


class Sampling(Section):
    """Samples of each prompt, and what they depend on."""

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


class SolutionSampling(Sampling):
    """Samples for reward models, which read the prompt without what is added."""

    system: str | None = None  # the system prompt; null: the chat template's own, if it has one
