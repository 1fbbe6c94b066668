"""What a model is made of, and under which licence each part stands.

Licences are those that the publishers name on the part's own page; where they name none, or a part
is the user's own, the card says that it is not known.
"""

from dataclasses import dataclass

from steps.config.hub_data import HubProblems, Prm800kData, SkyworkData, UnifiedFeedbackData
from steps.config.schema import (
    Backbone,
    ChampData,
    Data,
    Experiment,
    HubBackbone,
    SmolLM2Backbone,
    TinyBackbone,
    ToyData,
)


@dataclass(frozen=True)
class Part:
    """A backbone or a data set.

    Attributes:
        licence: the hub's short name of it; None = not known here.
        hub_id: its id on the hub, where it has one.
    """

    role: str
    name: str
    licence: str | None = None
    hub_id: str | None = None


_BACKBONE_LICENCES = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": "apache-2.0",
    "google/gemma-2b-it": "gemma",
    "meta-llama/Meta-Llama-3-8B-Instruct": "llama3",
    "Qwen/Qwen2.5-1.5B-Instruct": "apache-2.0",
    "Qwen/Qwen2.5-7B-Instruct": "apache-2.0",
}
_UNIFIED_FEEDBACK = Part("training data", "Unified-Feedback", "mit", "llm-blender/Unified-Feedback")
_SKYWORK_ID = "Skywork/Skywork-Reward-Preference-80K-v0.2"


def parts(experiment: Experiment) -> list[Part]:
    """Return the backbone first, then the training data."""
    return [_backbone(experiment.backbone), *_data(experiment.data)]


def _backbone(model: Backbone) -> Part:
    match model:
        case SmolLM2Backbone():
            hub_id = "HuggingFaceTB/SmolLM2-135M-Instruct"
            name = f"{hub_id}, dequantised from 4-bit weights"
        case HubBackbone(id=hub_id, revision=revision):
            name = f"{hub_id} at {revision or 'main'}"
        case TinyBackbone():
            return Part("backbone", "random weights")
        case _:
            return Part("backbone", "a model of the user's own")
    return Part("backbone", name, _BACKBONE_LICENCES.get(hub_id), hub_id)


def _data(data: Data) -> list[Part]:
    match data:
        case ChampData():
            return [Part("training data", "CHAMP, problems and graded solutions", "mit")]
        case ToyData():
            return [Part("training data", "generated sums")]
        case UnifiedFeedbackData():
            return [_UNIFIED_FEEDBACK]
        case SkyworkData(unified_feedback_every=every):
            skywork = Part("training data", _SKYWORK_ID, None, _SKYWORK_ID)
            return [skywork] if every is None else [skywork, _UNIFIED_FEEDBACK]
        case Prm800kData(problems=problems):
            hub_id = problems.id if isinstance(problems, HubProblems) else None
            name = "problems of PRM800K with sampled solutions"
            return [Part("training data", name, "mit", hub_id)]
        case _:
            return [Part("training data", "files of the user's own")]
