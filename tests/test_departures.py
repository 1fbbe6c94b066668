"""The table of departures names real options and real tests, and some tests that only it needs."""

import re

import pytest
import torch
import yaml

from steps.config import Experiment
from steps.config.load import load_experiment
from steps.objectives.batch import Side
from steps.objectives.consistency import Consistency
from steps.objectives.declaration import Weighted, load_method
from steps.objectives.needs import check_needs
from steps.objectives.objective import Objective
from steps.objectives.weights import probability
from steps.score.cached import score_groups
from steps.train.assemble import assemble
from steps.train.batches import pair_groups
from tests.conftest import ROOT
from tests.small_batches import make_batch, make_data, one_loss
from tests.training import UPPER, make_cache, make_pairs, make_trainer, with_settings

TABLE = (ROOT / "docs/departures.md").read_text(encoding="utf-8")
ROWS = [line for line in TABLE.splitlines() if re.match(r"\| (?!the release|# \||-)", line)]
# The fourth cell of the rows that have one for options, as long as it names keys.
OPTIONS = [
    spans
    for cells in (row.split(" | ") for row in ROWS if len(row.split(" | ")) == 5)
    if (spans := re.findall(r"`(\w+\.[\w.]+): ([^`]+)`", cells[3]))
]


def test_the_table_has_its_rows() -> None:
    assert len(ROWS) == 39
    assert len(OPTIONS) == 9


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_every_row_names_tests_that_are_there(row: str) -> None:
    linked = re.findall(r"\[(test_\w+)\]\(\.\./(tests/test_\w+\.py)\)", row)
    assert linked
    for name, file in linked:
        assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), name


@pytest.mark.parametrize("spans", OPTIONS, ids=str)
def test_every_option_is_one_of_the_schema_and_can_be_trained_with(spans: list) -> None:
    """Set in the experiment of the paper, which then is another unless it is a default."""
    shipped = load_experiment(ROOT / "config/gemma2b_uf40k.yaml")
    content = shipped.model_dump()
    for path, value in spans:
        *sections, key = path.split(".")
        section = content
        for name in sections:
            section = section[name]
        assert key in section, path
        section[key] = yaml.safe_load(re.sub(r"^(\d+)e", r"\1.0e", value))
    if "generator.model" in dict(spans):
        content["generator"]["fine_tuning"] = None
    changed = Experiment.model_validate(content)
    assert (changed == shipped) == ("lm_gradient_scale" in str(spans))
    check_needs(Objective(load_method("icrm").terms(changed)).needs, changed)


def test_a_factor_of_the_weights_cancels(experiment: Experiment) -> None:
    def twice(side: Side) -> torch.Tensor:
        return 2 * probability(side)

    losses = []
    for weights in (probability, twice):
        objective = Objective([Weighted(1.0, Consistency(experiment.consistency, weights))])
        for number in range(3):
            batch = make_batch(make_data(3, number))
            value = one_loss(objective, batch)
            objective.end_step()
        losses.append(value.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] > 0.1


FULL = UPPER.model_copy(update={"mode": "full", "trained_layers": None, "tokens_per_batch": 1})


@pytest.fixture(scope="module")
def cache(backbone, experiment, groups, tmp_path_factory):
    return make_cache(backbone, experiment, groups, tmp_path_factory.mktemp("cache"))


def test_the_scale_is_one_of_the_gradient_into_the_backbone(
    backbone, experiment, cache, groups
) -> None:
    pairs = pair_groups(cache, make_pairs(groups))
    gradients = {}
    for scale in (0.0, 1e-3, 1.0):
        settings = FULL.model_copy(update={"lm_gradient_scale": scale})
        changed = with_settings(experiment, settings)
        method = load_method("grm_release")
        objective = Objective(method.terms(changed))
        used = method.lm_gradient_scale(changed)
        module = assemble(changed, backbone, cache, objective.needs, used, seed=0).module
        objective.begin_step([g.lengths for g in pairs])
        objective.loss(module(pairs)).backward()
        body = module.model.model.layers[0].mlp.up_proj.weight.grad
        gradients[scale] = body, module.lm_head.grad
    none, small, whole = (gradients[scale][0] for scale in (0.0, 1e-3, 1.0))
    assert (whole - none).abs().max() > 1e-3
    torch.testing.assert_close(small - none, 1e-3 * (whole - none), rtol=0, atol=1e-7)
    assert torch.equal(gradients[1e-3][1], gradients[1.0][1])


def test_clipping_leaves_the_lm_head_out(backbone, experiment, cache, groups, tmp_path) -> None:
    settings = UPPER.model_copy(update={"lm_head": "copy", "max_gradient_norm": 1e-3})
    changed = with_settings(experiment, settings)
    trainer = make_trainer("grm_release", backbone, changed, cache, groups, tmp_path)
    module = trainer.model
    trainer.objective.begin_step([g.lengths for g in trainer.groups])
    trainer.objective.loss(module(trainer.groups)).backward()
    of_head = module.lm_head.grad.clone()
    assert trainer._clip_grad_norm(module) > 1e-2
    total = torch.nn.utils.get_total_norm([p.grad for p in module.main_parameters])
    assert total.item() == pytest.approx(1e-3, rel=1e-2)
    assert torch.equal(module.lm_head.grad, of_head)


def test_scores_in_half_precision_are_those_of_training(
    backbone, experiment, cache, groups
) -> None:
    changed = with_settings(experiment, FULL)
    module = assemble(changed, backbone, cache, frozenset(), 1.0, seed=0).module.eval()
    group = pair_groups(cache, make_pairs(groups[:1]))[0]
    chosen = group.chosen.tolist()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        trained = module([group]).chosen.final_rewards.tolist()
    scores = [
        score_groups(module.unwrapped, cache, groups[:1], None, "", dtype=dtype)["reward"]
        for dtype in (torch.bfloat16, torch.float32)
    ]
    assert scores[0][chosen].tolist() == trained
    assert scores[1][chosen].tolist() != trained
