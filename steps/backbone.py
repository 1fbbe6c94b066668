"""Loading backbones, and running them whole or above the frozen lower layers."""

from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from steps.config.schema import Experiment, HubBackbone, model_folder
from steps.errors import UserError
from steps.files import make_again, sha256
from steps.onednn import use_onednn
from steps.packing import ATTENTION, GroupSpan, position_ids
from steps.reward_head import has_mlp_head, head_state, install_mlp_head

# Ours tell more; and a reward head that a language model lacks is expected, not news.
logging.disable_progress_bar()
logging.set_verbosity_error()

# Architectures whose decoder layers take the packed layout unchanged; others may hide state
# (sliding windows, soft-capping, recurrent layers) that it would silently get wrong.
SUPPORTED = ("llama", "gemma", "qwen2")


def _trusts(folder: Path, experiment: Experiment) -> bool:
    """Whether the experiment lets code that comes with the model of a folder run."""
    others = [experiment.generator_model, *(s.model for s in experiment.sampled_sets.values())]
    known = {model_folder(model): model for model in reversed(others)}
    source = known.get(Path(folder), experiment.backbone)
    return isinstance(source, HubBackbone) and source.trust_remote_code


def load_part(loader, folder: Path, trust: bool, **arguments):
    """Call ``from_pretrained`` on a local folder, with one clear sentence when it fails.

    Args:
        trust: whether code that comes with the model may run.
    """
    config = Path(folder) / "config.json"
    if not config.is_file():
        raise UserError(
            f"there is no model in {folder} (no config.json); {make_again(config)}, or set "
            "`backbone` in the experiment file"
        )
    try:
        return loader(str(folder), trust_remote_code=trust, local_files_only=True, **arguments)
    except Exception as error:
        # Damaged files raise whatever the libraries' parsers happen to; none of it is ours.
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"cannot load the model in {folder} ({type(error).__name__}: {reason}); look at its "
            "files, or fetch it again"
        ) from error


def load_tokenizer(folder: Path, experiment: Experiment) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model folder."""
    return load_part(AutoTokenizer.from_pretrained, folder, _trusts(folder, experiment))


def load_generator(
    folder: Path, experiment: Experiment, dtype: torch.dtype = torch.float32
) -> PreTrainedModel:
    """Load the causal language model of a folder for the packed layout, for inference."""
    check_packable(folder, experiment)
    trust = _trusts(folder, experiment)
    return _load_language_model(folder, trust, ATTENTION, dtype)


def _load_language_model(
    folder: Path, trust: bool, attention: str, dtype: torch.dtype
) -> PreTrainedModel:
    """Load the causal language model of a folder, for inference."""
    model = _load_weights(AutoModelForCausalLM, folder, trust, set(), attention, dtype)
    return model.eval().requires_grad_(False)


def load_policy(
    folder: Path, experiment: Experiment, dtype: torch.dtype = torch.float32
) -> PreTrainedModel:
    """Load the causal language model of a folder to sample from, whatever its architecture."""
    return _load_language_model(folder, _trusts(folder, experiment), "sdpa", dtype)


def context_length(folder: Path, experiment: Experiment) -> int:
    """Return how many tokens the model of a folder was made to read."""
    return load_config(folder, _trusts(folder, experiment)).max_position_embeddings


def load_reward_model(
    folder: Path,
    experiment: Experiment,
    layout: str = "packed",
    dtype: torch.dtype = torch.float32,
) -> PreTrainedModel:
    """Load a folder as a sequence classifier with one label.

    A folder without reward head (a language model) gets a random one: set the seed before.

    Args:
        layout: ``packed`` or ``padded``, see `steps.packing`.
    """
    if layout == "packed":
        check_packable(folder, experiment)
    trust, attention = _trusts(folder, experiment), ATTENTION if layout == "packed" else "sdpa"
    head = {"score.weight"}
    return _load_classifier(folder, trust, head, attention, dtype, num_labels=1)


def load_classifier(
    folder: Path, trust: bool, attention: str | None, dtype: torch.dtype
) -> PreTrainedModel:
    """Load the sequence classifier of a folder with its own head, for inference.

    Args:
        attention: implementation of the attention; None leaves the choice to the model.
    """
    # The standard class builds a linear head, which a folder with an MLP head lacks.
    head = {"score.weight"} if has_mlp_head(load_config(folder, trust)) else set()
    model = _load_classifier(folder, trust, head, attention, dtype)
    return model.eval().requires_grad_(False)


def _load_classifier(
    folder: Path,
    trust: bool,
    may_lack: set[str],
    attention: str | None,
    dtype: torch.dtype,
    **arguments,
) -> PreTrainedModel:
    model_class = AutoModelForSequenceClassification
    model = _load_weights(model_class, folder, trust, may_lack, attention, dtype, **arguments)
    if has_mlp_head(model.config):
        install_mlp_head(model)
        _load_mlp_head(folder, model)
    return model


def _load_mlp_head(folder: Path, model: PreTrainedModel) -> None:
    """Fill the head of `install_mlp_head` from the files, which the standard class passes over."""
    state = {}
    for file in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(file, "pt") as weights:
            state |= {k: weights.get_tensor(k) for k in weights.keys() if k.startswith("score.")}  # noqa: SIM118
    wanted = head_state(model)
    if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in wanted.items()}:
        raise UserError(f"the weights in {folder} hold no whole reward head; train the model again")
    model.load_state_dict(state, strict=False)


def _load_weights(
    auto_class: type,
    folder: Path,
    trust: bool,
    may_lack: set[str],
    attention: str | None,
    dtype: torch.dtype,
    **arguments,
) -> PreTrainedModel:
    """Load a model whole: a weight that the files lack would silently be drawn at random."""
    model, report = load_part(
        auto_class.from_pretrained,
        folder,
        trust,
        dtype=dtype,
        attn_implementation=attention,
        use_safetensors=True,
        output_loading_info=True,
        **arguments,
    )
    lacking = sorted(set(report["missing_keys"]) - may_lack) + list(report["mismatched_keys"])
    if lacking:
        raise UserError(
            f"the weights in {folder} are incomplete: {len(lacking)} are missing or of another "
            f"shape, for example '{lacking[0]}'; fetch the model again"
        )
    use_onednn(model)
    return model


def load_lm_head(folder: Path, model: PreTrainedModel) -> Tensor:
    """Return the LM head, [V, D], of the folder that a reward model was loaded from.

    It is the embedding where the two are tied; else it is read from the files, because a sequence
    classifier has no place for it.
    """
    if model.config.tie_word_embeddings:
        return model.get_input_embeddings().weight.detach()
    for file in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(file, "pt") as weights:
            if "lm_head.weight" in weights.keys():  # noqa: SIM118 (no mapping)
                return weights.get_tensor("lm_head.weight").float()
    raise UserError(f"there is no lm_head.weight in {folder}; the language-model term needs it")


def check_packable(folder: Path, experiment: Experiment) -> None:
    """Check that the packed layout computes what this architecture means."""
    config = load_config(folder, _trusts(folder, experiment))
    if config.model_type not in SUPPORTED:
        raise UserError(
            f"the architecture '{config.model_type}' of {folder} is not known to the packed "
            f"layout, which supports {', '.join(SUPPORTED)}; set `training.layout: padded`"
        )
    if not is_packable(config):
        raise UserError(
            f"{folder} uses sliding-window attention, which the packed layout does not compute; "
            "set use_sliding_window to false in its config.json if its window exceeds your texts"
        )


def is_packable(config: PreTrainedConfig) -> bool:
    """Whether the packed layout computes what the model of this configuration means."""
    others = ("use_sliding_window", "use_bidirectional_attention")
    return config.model_type in SUPPORTED and not any(getattr(config, key, 0) for key in others)


def load_config(folder: Path, trust: bool) -> PreTrainedConfig:
    """Load the configuration of a model folder."""
    return load_part(AutoConfig.from_pretrained, folder, trust)


def frozen_layers(model: PreTrainedModel, trained_layers: int) -> int:
    """Return how many lower layers stay frozen when the upper ``trained_layers`` are trained."""
    layers = model.config.num_hidden_layers
    if not 1 <= trained_layers <= layers:
        raise UserError(
            f"training.trained_layers is {trained_layers}, but the backbone has {layers} layers"
        )
    return layers - trained_layers


def run_upper_layers(
    model: PreTrainedModel, hidden: Tensor, groups: list[GroupSpan], first: int
) -> Tensor:
    """Return the final normed hidden states, [1, T, D], from those that enter layer ``first``.

    Args:
        hidden: [1, T, D], input of decoder layer ``first`` in the packed layout.
    """
    decoder = model.base_model
    positions = position_ids(groups).to(hidden.device)
    rotary = decoder.rotary_emb(hidden, positions)
    for layer in decoder.layers[first:]:
        hidden = layer(
            hidden,
            attention_mask=None,
            position_ids=positions,
            position_embeddings=rotary,
            groups=groups,
        )
    return decoder.norm(hidden)


def run_model(model: PreTrainedModel, tokens: Tensor, groups: list[GroupSpan]) -> Tensor:
    """Return the final normed hidden states, [1, T, D], of token ids, [T], in the packed layout."""
    positions = position_ids(groups).to(tokens.device)
    decoder = model.base_model
    output = decoder(input_ids=tokens[None], position_ids=positions, use_cache=False, groups=groups)
    return output.last_hidden_state


def upper_parameters(model: PreTrainedModel, first: int) -> list[nn.Parameter]:
    """Return what is trained above the frozen layers: layers from ``first``, final norm, head."""
    decoder = model.base_model
    modules = [*decoder.layers[first:], decoder.norm, model.score]
    return [p for module in modules for p in module.parameters()]


def weights_hash(folder: Path) -> str:
    """Return a hash of the weights and the architecture of a model folder."""
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise UserError(f"there is no *.safetensors file in {folder}; only safetensors are loaded")
    return "-".join(sha256(f)[:16] for f in [*files, Path(folder) / "config.json"])
