"""Every loss against an independent computation in plain Python, and its gradients."""

import math

import pytest
import torch

from steps.config import Experiment
from steps.objectives.batch import PairBatch, PairLengths, Side
from steps.objectives.bradley_terry import BradleyTerry, bradley_terry_loss
from steps.objectives.consistency import Consistency
from steps.objectives.declaration import Weighted, load_method
from steps.objectives.language_model import LanguageModel
from steps.objectives.objective import Objective
from steps.objectives.registry import method_names

# Two pairs of unequal lengths: rewards, generator probabilities, LM log-probabilities per token.
CHOSEN = [[0.3, -0.2, 0.9, 0.4], [1.1, 0.5]]
REJECTED = [[-0.4, 0.6, 0.1], [0.2, -0.7, 0.8, -1.0, 0.05]]
P_CHOSEN = [[0.9, 0.5, 0.2, 0.7], [0.6, 0.3]]
P_REJECTED = [[0.8, 0.1, 0.4], [0.3, 0.9, 0.5, 0.2, 0.6]]
LM_CHOSEN = [[-0.1, -2.0, -0.3, -0.7], [-1.5, -0.2]]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def padded(rows: list[list[float]], width: int, fill: float) -> torch.Tensor:
    return torch.tensor([r + [fill] * (width - len(r)) for r in rows], dtype=torch.float64)


def make_batch(width: int = 5, fill: float = 0.0) -> PairBatch:
    def side(rewards, probs, lm=None):
        mask = torch.tensor([[k < len(r) for k in range(width)] for r in rewards])
        return Side(
            padded(rewards, width, fill).requires_grad_(),
            mask,
            padded([[math.log(p) for p in row] for row in probs], width, fill),
            None if lm is None else padded(lm, width, fill),
        )

    return PairBatch(side(CHOSEN, P_CHOSEN, LM_CHOSEN), side(REJECTED, P_REJECTED))


def lengths_of(batch: PairBatch) -> PairLengths:
    return PairLengths(batch.chosen.lengths, batch.rejected.lengths)


def consistency_by_hand() -> tuple[float, float]:
    """sum s w m / sum m and Z, written out from the equations."""
    loss = level = count = 0.0
    for c, r, pc, pr in zip(CHOSEN, REJECTED, P_CHOSEN, P_REJECTED, strict=True):
        mean_c, mean_r = sum(c) / len(c), sum(r) / len(r)
        for wins, probs in (
            ([sigmoid(x - mean_r) for x in c], pc),
            ([1 - sigmoid(x - mean_c) for x in r], pr),
        ):
            for t in range(len(wins) - 1):
                q, following, w = wins[t], wins[t + 1], probs[t + 1]
                s = -0.5 * (math.log(q + 1e-6) * following + q * math.log(following + 1e-6))
                loss += s * w
                level += 0.5 * (q + following) * w
                count += 1
    return loss / count, level / count


def run_term(term, batch: PairBatch) -> torch.Tensor:
    return term.total(batch) / term.count(lengths_of(batch))


def test_bradley_terry_by_hand() -> None:
    expected = (
        sum(-math.log(sigmoid(c[-1] - r[-1])) for c, r in zip(CHOSEN, REJECTED, strict=True)) / 2
    )
    assert run_term(BradleyTerry(), make_batch()).item() == pytest.approx(expected, abs=1e-12)


def test_bradley_terry_stays_finite_for_huge_margins() -> None:
    losses = bradley_terry_loss(torch.tensor([1e4, -1e4]), torch.zeros(2))
    assert losses.tolist() == [0.0, 1e4]


def test_swapping_the_pair_flips_the_margin() -> None:
    batch = make_batch()
    margin = batch.chosen.final_rewards - batch.rejected.final_rewards
    swapped = PairBatch(batch.rejected, batch.chosen)
    assert torch.equal(swapped.chosen.final_rewards - swapped.rejected.final_rewards, -margin)


def test_language_model_by_hand() -> None:
    expected = sum(-sum(row) / len(row) for row in LM_CHOSEN) / 2
    assert run_term(LanguageModel(), make_batch()).item() == pytest.approx(expected, abs=1e-12)


def test_consistency_by_hand_with_its_own_normaliser_at_the_first_step() -> None:
    loss, level = consistency_by_hand()
    term, batch = Consistency(decay=0.95), make_batch()
    objective = Objective([Weighted(1.0, term)])
    assert objective.needs_first_look
    objective.begin_step([lengths_of(batch)])
    with torch.no_grad():
        objective.loss(batch)
    objective.end_step()
    assert term.normaliser == pytest.approx(level, abs=1e-12)
    objective.begin_step([lengths_of(batch)])
    assert objective.loss(batch).item() == pytest.approx(loss / (level + 1e-6), rel=1e-12)


def test_normaliser_is_an_average_of_the_steps_before() -> None:
    _, level = consistency_by_hand()
    term = Consistency(decay=0.75)
    term.normaliser = 2.0
    run_term(term, make_batch())
    assert term.normaliser == 2.0  # used by the step, not changed within it
    term.end_step(term.count(lengths_of(make_batch())))
    assert term.normaliser == pytest.approx(0.75 * 2.0 + 0.25 * level, abs=1e-12)


@pytest.mark.parametrize("name", method_names())
def test_gradient_against_finite_differences_with_stopped_parts_held(
    name: str, experiment: Experiment
) -> None:
    """The stop-gradients: neighbours' soft wins inside s, the opposite mean, the weights and Z."""
    loss = build(name, experiment)
    batch = make_batch()
    loss(batch).backward()
    for side in ("chosen", "rejected"):
        rewards = getattr(batch, side).rewards
        gradient = torch.zeros_like(rewards) if rewards.grad is None else rewards.grad
        numeric = numeric_gradient(name, experiment, side)
        assert torch.allclose(gradient, numeric, atol=1e-7), (side, gradient, numeric)


def build(name: str, experiment: Experiment):
    objective = Objective(load_method(name).terms(experiment))
    for weighted in objective.terms:
        if isinstance(weighted.term, Consistency):
            weighted.term.normaliser = 0.3

    def loss(batch: PairBatch) -> torch.Tensor:
        objective.begin_step([lengths_of(batch)])
        return objective.loss(batch)

    return loss


def numeric_gradient(name: str, experiment: Experiment, side: str) -> torch.Tensor:
    """Central differences of the loss whose stop-gradient parts are frozen at the base point."""
    base = torch.tensor(
        [row + [0.0] * (5 - len(row)) for row in (CHOSEN if side == "chosen" else REJECTED)],
        dtype=torch.float64,
    )
    weights = {"orm": (1.0, 0.0), "grm_release": (1.0, 0.0)}.get(name)
    if weights is None:
        a = experiment.consistency.weight
        weights = (1 - a, a)
    gradient = torch.zeros_like(base)
    rows = CHOSEN if side == "chosen" else REJECTED
    for i, row in enumerate(rows):
        for t in range(len(row)):
            values = []
            for step in (1e-6, -1e-6):
                moved = [list(r) for r in rows]
                moved[i][t] += step
                pair = (moved, REJECTED) if side == "chosen" else (CHOSEN, moved)
                values.append(weights[0] * bt(*pair) + weights[1] * frozen_consistency(*pair))
            gradient[i, t] = (values[0] - values[1]) / 2e-6
    return gradient


def bt(chosen: list[list[float]], rejected: list[list[float]]) -> float:
    pairs = zip(chosen, rejected, strict=True)
    return sum(-math.log(sigmoid(c[-1] - r[-1])) for c, r in pairs) / 2


def frozen_consistency(chosen: list[list[float]], rejected: list[list[float]]) -> float:
    loss = count = 0.0
    for i in range(2):
        mean_c = sum(CHOSEN[i]) / len(CHOSEN[i])
        mean_r = sum(REJECTED[i]) / len(REJECTED[i])
        for rewards, base, probs, sign, mean in (
            (chosen[i], CHOSEN[i], P_CHOSEN[i], 1, mean_r),
            (rejected[i], REJECTED[i], P_REJECTED[i], -1, mean_c),
        ):
            q = [sigmoid(sign * (x - mean)) for x in rewards]
            stopped = [sigmoid(sign * (x - mean)) for x in base]
            for t in range(len(q) - 1):
                s = -0.5 * (
                    math.log(q[t] + 1e-6) * stopped[t + 1] + stopped[t] * math.log(q[t + 1] + 1e-6)
                )
                loss += s * probs[t + 1]
                count += 1
    return loss / count / (0.3 + 1e-6)


@pytest.mark.parametrize("name", method_names())
@pytest.mark.parametrize("fill", [0.0, 1e3])
def test_padding_changes_no_loss(name: str, fill: float, experiment: Experiment) -> None:
    narrow, wide = make_batch(), make_batch(width=9, fill=fill)
    loss = build(name, experiment)
    assert loss(wide).item() == pytest.approx(loss(narrow).item(), abs=1e-9)


@pytest.mark.parametrize("name", method_names())
def test_micro_batches_add_up_to_the_step(name: str, experiment: Experiment) -> None:
    batch = make_batch()

    def part(row: int) -> PairBatch:
        def cut(side: Side) -> Side:
            rows = slice(row, row + 1)
            lm = None if side.lm_log_probs is None else side.lm_log_probs[rows]
            return Side(side.rewards[rows], side.mask[rows], side.log_probs[rows], lm)

        return PairBatch(cut(batch.chosen), cut(batch.rejected))

    whole, halves = (Objective(load_method(name).terms(experiment)) for _ in range(2))
    for objective, parts in ((whole, [batch]), (halves, [part(0), part(1)])):
        for _ in range(2):  # the first pass sets the normaliser, the second uses it
            objective.begin_step([lengths_of(p) for p in parts])
            total = sum(objective.loss(p).item() for p in parts)
            objective.end_step()
        objective.total = total
    assert halves.total == pytest.approx(whole.total, rel=1e-12)
    assert halves.state() == pytest.approx(whole.state(), rel=1e-12)


def test_method_weights_follow_the_paper(experiment: Experiment) -> None:
    a = experiment.consistency.weight
    names = {
        m: [(w.weight, w.term.name) for w in load_method(m).terms(experiment)]
        for m in method_names()
    }
    assert names["orm"] == [(1.0, "bradley_terry")]
    assert names["grm_release"] == [(1.0, "bradley_terry"), (1.0, "language_model")]
    assert names["icrm"] == [(1 - a, "bradley_terry"), (a, "consistency"), (1.0, "language_model")]
