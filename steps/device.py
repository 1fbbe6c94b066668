"""The device and the threads that a step computes on, and the precision that it computes in."""

import os

import torch


def best_device() -> torch.device:
    """Return this process's GPU where there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))  # its own


def use_threads(threads: int) -> None:
    """Compute and tokenise with so many threads; call it before anything is tokenised.

    The number changes the last bits of what is computed, but no token.
    """
    torch.set_num_threads(threads)
    os.environ["RAYON_NUM_THREADS"] = str(threads)  # the tokenizers' threads


def working_dtype(precision: str) -> torch.dtype:
    """Return the dtype of a setting ``fp32`` or ``bf16``.

    CPUs compute in float32 whatever the setting: most have no fast bfloat16 products.
    """
    return torch.bfloat16 if precision == "bf16" and torch.cuda.is_available() else torch.float32
