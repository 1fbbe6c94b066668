"""Shared fixtures: a tiny model folder and an experiment around it."""

from pathlib import Path

import pytest
import torch

from steps import lm_head, onednn
from steps.config import Experiment, load_experiment
from steps.download.tiny import make_tiny
from steps.groups.schema import PromptGroup, Response

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def experiment() -> Experiment:
    return load_experiment(ROOT / "config/tiny.yaml")


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory, experiment: Experiment) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_tiny(experiment.backbone, folder)
    return folder


def make_groups() -> list[PromptGroup]:
    """Three groups of unequal sizes; in each, responses 0 and 1 are right, the others wrong."""
    made = []
    for number, size in enumerate((4, 6, 4)):
        responses = tuple(
            Response(
                text=f"step {k}: " + "7 + " * (k + number) + "1.", correct=k < 2, model="abc"[k % 3]
            )
            for k in range(size)
        )
        made.append(PromptGroup(f"g{number}", "test", "sums", f"What is {number} + 1?", responses))
    return made


@pytest.fixture(scope="session")
def groups() -> list[PromptGroup]:
    return make_groups()


@pytest.fixture
def every_product(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Let oneDNN compute every product, whatever the processor; return the weights' shapes."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this build of torch has no oneDNN")
    shapes = []
    real = torch.ops.mkldnn._linear_pointwise

    def watched(inputs, weight, *others):
        shapes.append(tuple(weight.shape))
        return real(inputs, weight, *others)

    for module in (onednn, lm_head):
        monkeypatch.setattr(module, "is_faster", lambda: True)
    monkeypatch.setattr(onednn, "LEAST", 0)
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", watched)
    return shapes
