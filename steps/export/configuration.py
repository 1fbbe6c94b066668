"""A config.json that transformers 4 and 5 read alike."""

from typing import Any


def portable_config(settings: dict[str, Any], end_of_turn: int, pad: int) -> dict[str, Any]:
    """Return ``settings`` with the token ids of the exported tokenizer, under the names of both.

    transformers 5 writes `rope_parameters` and `dtype`; version 4 knows neither, and would silently
    take the default rotary base of its class.

    Args:
        settings: a config.json of transformers 5.
    """
    both = settings | {"eos_token_id": end_of_turn, "pad_token_id": pad}
    if "dtype" in settings:
        both["torch_dtype"] = settings["dtype"]
    rope = settings.get("rope_parameters") or {}
    if "rope_theta" in rope:
        both["rope_theta"] = rope["rope_theta"]
    if rope.get("rope_type", "default") != "default":
        both["rope_scaling"] = {k: v for k, v in rope.items() if k != "rope_theta"}
    return both
