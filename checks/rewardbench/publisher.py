"""The publisher's program of rewardbench 0.1.4, on a machine with or without a GPU.

Its default pipeline sends the tokens to "cuda" whatever the machine has. `BatchEncoding.to` is
told "cpu" in the place of "cuda" where there is no GPU; nothing else is changed. Runs in the
environment of requirements.txt, with the program's own arguments.
"""

import torch
from transformers import BatchEncoding

from rewardbench.rewardbench import main

_to = BatchEncoding.to


def to_the_device_there_is(self: BatchEncoding, device: str, **arguments) -> BatchEncoding:
    absent = device == "cuda" and not torch.cuda.is_available()
    return _to(self, "cpu" if absent else device, **arguments)


BatchEncoding.to = to_the_device_there_is
main()
