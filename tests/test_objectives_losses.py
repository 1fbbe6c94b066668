"""Every loss and its gradient against the equations in plain Python."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from steps.config import Experiment
from steps.objectives.batch import Side
from steps.objectives.bradley_terry import bradley_terry_loss
from steps.objectives.registry import ensemble_base, method_names
from tests.hand_losses import NORMALISER, consistency_sums, loss_by_hand
from tests.small_batches import (
    Data,
    make_batch,
    make_data,
    make_objective,
    one_loss,
    with_settings,
)

POINTWISE = {"training": {"labels": "pointwise"}}
PADDED = {
    "training": {"mode": "full", "trained_layers": None, "layout": "padded"},
    "consistency": {"reference_mean": "padded_row"},
}
# Method and settings of every form of every loss.
CASES = [
    ("orm", {}),
    ("orm", POINTWISE),
    ("orm_margin", {"bradley_terry": {"margin_scale": 0.7}}),
    ("orm_label_smooth", {"bradley_terry": {"label_smoothing": 0.2}}),
    *(("grm", {"grm": {"form": form}}) for form in ("sft", "sft_no_sigmoid")),
    *(("grm", {"grm": {"form": form}}) for form in ("dpo", "dpo_reference_free")),
    *(("grm", POINTWISE | {"grm": {"form": form}}) for form in ("sft", "sft_no_sigmoid")),
    ("grm_release", {}),
    ("grm_release", POINTWISE),
    ("icrm", {}),
    ("icrm", POINTWISE),
    ("icrm", PADDED),
    ("icrm", {"consistency": {"normaliser": "none"}}),
    ("icrm", {"consistency": {"normaliser_update": "micro_batch"}}),
    ("icrm", POINTWISE | {"consistency": {"normaliser_update": "micro_batch"}}),
    *((control, {}) for control in ("icrm_uniform", "icrm_shuffled", "icrm_inverted")),
    ("icrm_shuffled", POINTWISE),
    ("icrm_smoothing", {}),
    ("icrm_smoothing", POINTWISE),
]
CASE = pytest.mark.parametrize("name, settings", CASES)


def compared(name: str, settings: dict, experiment: Experiment):
    """The responses of a case, its experiment and its objective after some steps."""
    experiment = with_settings(experiment, **settings)
    # Large shares of the regularisers, so that no error in them is small.
    experiment = with_settings(experiment, grm={"weight": 0.4}, consistency={"weight": 0.4})
    objective = make_objective(name, experiment)
    if objective.needs_first_look:
        objective.load_state({"consistency_normaliser": NORMALISER})
    data = make_data(3, paired=experiment.training.labels == "pairwise")
    if not data.paired:
        data = replace(data, rejected=data.rejected[:2])  # the sides may differ in size
    return data, experiment, objective


def test_every_trained_method_is_compared() -> None:
    trained = {name for name in method_names() if ensemble_base(name) is None}
    assert {name for name, _ in CASES} == trained


@CASE
def test_loss_by_hand(name: str, settings: dict, experiment: Experiment) -> None:
    data, experiment, objective = compared(name, settings, experiment)
    expected = loss_by_hand(name, data, data, experiment)
    assert one_loss(objective, make_batch(data)).item() == pytest.approx(expected, rel=1e-12)


@CASE
def test_gradient_by_differences_with_the_stopped_parts_held(
    name: str, settings: dict, experiment: Experiment
) -> None:
    """The stopped parts: neighbours' soft wins inside s, the opposite mean, the weights and Z."""
    data, experiment, objective = compared(name, settings, experiment)
    batch = make_batch(data)
    one_loss(objective, batch).backward()
    for side in ("chosen", "rejected"):
        for key, tensor in (("rewards", "rewards"), ("lm", "lm_log_probs")):
            found = gradients(getattr(batch, side), tensor)
            expected = differences(
                data, side, key, lambda moved: loss_by_hand(name, moved, data, experiment)
            )
            assert found == pytest.approx(expected, abs=1e-8), (side, key)


@pytest.mark.parametrize("settings", [{}, POINTWISE])
def test_gradient_is_not_that_of_the_formula_without_stopped_parts(
    settings: dict, experiment: Experiment
) -> None:
    """So the test above would see a missing stop."""
    data, experiment, objective = compared("icrm", settings, experiment)
    batch = make_batch(data)
    one_loss(objective, batch).backward()
    whole = differences(
        data, "chosen", "rewards", lambda moved: loss_by_hand("icrm", moved, moved, experiment)
    )
    assert gradients(batch.chosen, "rewards") != pytest.approx(whole, abs=1e-3)


def gradients(side: Side, tensor: str) -> list[float]:
    """The gradient at every token of the responses, one after the other; 0 where there is none."""
    values = getattr(side, tensor)
    gradient = torch.zeros_like(values) if values.grad is None else values.grad
    return gradient[side.mask].tolist()


def differences(data: Data, side: str, key: str, loss: Callable[[Data], float]) -> list[float]:
    """Central difference quotients of ``loss`` at every token of one side."""

    def moved(row: int, token: int, by: float) -> Data:
        rows = list(getattr(data, side))
        values = list(getattr(rows[row], key))
        values[token] += by
        rows[row] = replace(rows[row], **{key: tuple(values)})
        return replace(data, **{side: tuple(rows)})

    step = 1e-5
    return [
        (loss(moved(row, token, step)) - loss(moved(row, token, -step))) / (2 * step)
        for row, response in enumerate(getattr(data, side))
        for token in range(len(response.rewards))
    ]


def test_the_first_step_is_divided_by_its_own_level(experiment: Experiment) -> None:
    data = make_data(3)
    objective = make_objective("icrm", experiment)
    assert objective.needs_first_look
    with torch.no_grad():
        one_loss(objective, make_batch(data))
    objective.end_step()
    assert not objective.needs_first_look
    one_loss(objective, make_batch(data))
    objective.end_step()
    loss, level = consistency_sums("icrm", data, data)
    assert objective.values["consistency"] == pytest.approx(loss / (level + 1e-6), rel=1e-12)
    # The first look and the step itself are one observation.
    assert objective.state() == pytest.approx({"consistency_normaliser": level}, rel=1e-12)


def test_padded_row_mean_depends_on_the_padding_and_response_mean_does_not(
    experiment: Experiment,
) -> None:
    def loss(settings: dict, extra: int) -> float:
        data, _, objective = compared("icrm", settings, experiment)
        return one_loss(objective, make_batch(data, extra=extra)).item()

    assert loss({}, extra=5) == pytest.approx(loss({}, extra=0), rel=1e-12)
    assert abs(loss(PADDED, extra=5) - loss(PADDED, extra=0)) > 1e-3


def test_bradley_terry_stays_exact_for_huge_margins() -> None:
    losses = bradley_terry_loss(torch.tensor([1e4, 50.0, -1e4]), torch.zeros(3))
    assert losses.tolist() == pytest.approx([0.0, math.exp(-50), 1e4], rel=1e-6)
