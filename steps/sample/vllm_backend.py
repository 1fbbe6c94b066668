"""Generation with vLLM, which is not part of the environment: for many samples on GPUs.

Written from vLLM's documentation; not run by the tests. Its random numbers are its own, so its
samples are others than those of the backend `transformers`.
"""

from collections.abc import Callable
from pathlib import Path

from steps.config.sampling import Sampling
from steps.errors import UserError
from steps.sample.backend import Completion, Request


class VllmBackend:
    """A causal language model served by vLLM in this process.

    Args:
        stops: ids of the tokens that end an answer.
    """

    def __init__(self, folder: Path, sampling: Sampling, stops: frozenset[int]):
        try:
            from vllm import LLM, SamplingParams
        except ImportError:
            raise UserError(
                "`backend: vllm` needs the package vllm, which is not installed; install it beside "
                "the environment or set `backend: transformers`"
            ) from None
        dtype = "bfloat16" if sampling.precision == "bf16" else "float32"
        self._model = LLM(model=str(folder), dtype=dtype, seed=sampling.seed)
        self._parameters = lambda key: SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_new_tokens,
            stop_token_ids=sorted(stops),
            seed=key % 2**63,
        )

    def generate(self, batch: list[Request], asked_to_stop: Callable[[], bool]) -> list[Completion]:
        """Return the completion of each request, in order.

        vLLM comes back when the whole batch is done, after ``max_new_tokens`` steps at most; a
        request to stop waits until then.
        """
        outputs = self._model.generate(
            [{"prompt_token_ids": list(request.prompt)} for request in batch],
            [self._parameters(request.key) for request in batch],
            use_tqdm=False,
        )
        first = [output.outputs[0] for output in outputs]
        return [Completion(list(each.token_ids), each.finish_reason) for each in first]
