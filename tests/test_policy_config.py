"""Policies in experiment files: what cannot work is refused before the first job."""

import re
from pathlib import Path

import pytest

from steps.config import load_experiment
from steps.config.backbones import model_folder
from steps.errors import UserError
from tests.conftest import ROOT
from tests.pipeline_runs import fresh_tree, run
from tests.test_config import extended


def planned(tmp_path: Path, change) -> str:
    """Return the commands of the changed policies of the tiny experiment, one a line."""
    tree = fresh_tree(tmp_path)
    extended(tree / "config", change)
    shown = ["--dry-run", "--printshellcmds", "--quiet", "host"]
    plan = run(tree, *shown, experiment="tiny_policy")
    assert plan.returncode == 0, plan.stderr
    return plan.stdout


def sampling(use: str, **changes):
    def change(content: dict) -> None:
        content["policy"]["sampling"][use].update(changes)

    return change


def without_pairs(content: dict) -> None:
    del content["policy"]["sampling"]["pairs"]


def without_answers(content: dict) -> None:
    for use in ("policies", "policies_sampled"):
        del content["policy"]["sampling"][use]


def test_samples_that_no_later_step_can_use_are_refused(tmp_path: Path) -> None:
    refused = {
        "pairs.samples is 1, but a reward model chooses": sampling("pairs", samples=1),
        "best_of_n.samples is 1, but a reward": sampling("best_of_n", samples=1, temperature=0),
        "policies_sampled.temperature is 0.7, but must be 1": sampling(
            "policies_sampled", temperature=0.7
        ),
        "policies_sampled.top_p is 0.9, but must be 1": sampling("policies_sampled", top_p=0.9),
        "pairs is missing, the samples that policy.dpo trains on": without_pairs,
        "policies is missing, the answers of the policies": without_answers,
    }
    for words, change in refused.items():
        path = extended(tmp_path, change)
        with pytest.raises(UserError) as error:
            load_experiment(path)
        assert str(error.value).startswith(f"{path}: policy.sampling.{words}")


def test_without_policies_there_need_be_no_pairs(tmp_path: Path) -> None:
    def change(content: dict) -> None:
        without_pairs(content)
        del content["policy"]["dpo"]

    assert load_experiment(extended(tmp_path, change)).policy.dpo is None


def test_a_judge_has_a_name_of_its_own(tmp_path: Path) -> None:
    def change(content: dict) -> None:
        judges = content["policy"]["evaluation"]["judges"]
        judges["exact"] = judges.pop("own")

    with pytest.raises(UserError, match=r"judges: 'exact' has a meaning of its own; rename"):
        load_experiment(extended(tmp_path, change))


def test_judges_that_learn_from_different_sets_are_different_models(tmp_path: Path) -> None:
    def change(content: dict) -> None:
        policy = content["policy"]
        # With prompts of the policies' own, judges may learn from either evaluation set.
        del policy["held_out"]
        policy["prompts"] = {"source": "release"}
        own = policy["evaluation"]["judges"]["own"]
        policy["evaluation"]["judges"]["other"] = own | {"train_on": "out_of_distribution"}

    commands = planned(tmp_path, change)
    for name, learnt in (("own", "in_distribution"), ("other", "out_of_distribution")):
        model = re.search(rf"--judge {name} --model (\S+)", commands)[1]
        (made,) = re.findall(rf".* steps.train model .*--output {model} .*", commands)
        assert f"--groups results/tiny/groups/{learnt}.parquet" in made
        assert f"--pairs results/tiny/pairs/{learnt}.parquet" in made
        (checked,) = re.findall(rf".* check-judge .*--judge {model} .*", commands)
        assert f"--judge-groups results/tiny/groups/{learnt}.parquet" in checked


def test_every_policy_answers_with_its_own_weights(tmp_path: Path) -> None:
    """What starts from the backbone is the backbone's; all else is of the policy it is called."""
    commands = planned(tmp_path, lambda content: None)
    folder = "results/tiny_policy/policy"
    start = str(model_folder(load_experiment(ROOT / "config/tiny.yaml").backbone))
    models = {name: f"{folder}/models/{name}" for name in ("orm-seed0", "icrm-seed0")}
    trained = re.findall(r" -m steps\.policy train .*--output (\S+)", commands)
    assert sorted(trained) == sorted(models.values())
    of = models | {"reference": start}
    sampled = {
        output: re.search(r"--model (\S+)", line)[1]
        for line, output in re.findall(r"( -m steps\.sample .*--output (\S+))", commands)
    }
    uses = {"pairs": ["reference"], "best_of_n": ["reference"]}
    uses |= {"policies": list(of), "policies_sampled": list(of)}
    assert sampled == {
        f"{folder}/samples/{use}/{name}.parquet": of[name] for use in uses for name in uses[use]
    }
    moved = re.findall(
        r" -m steps\.policy kl .*--model (\S+) --reference-model (\S+) --samples (\S+)", commands
    )
    assert sorted(moved) == sorted(
        (model, start, f"{folder}/samples/policies_sampled/{name}.parquet")
        for name, model in models.items()
    )


def test_nothing_starts_with_a_judge_of_the_hub_that_is_not_pinned(tmp_path: Path) -> None:
    def change(content: dict) -> None:
        hub = {"source": "hub", "id": "some/judge"}
        content["policy"]["evaluation"]["judges"]["theirs"] = hub

    tree = fresh_tree(tmp_path)
    extended(tree / "config", change)
    first = model_folder(load_experiment(ROOT / "config/tiny.yaml").backbone)
    refused = run(tree, str(first), experiment="tiny_policy")
    assert refused.returncode != 0
    assert "judges.theirs.revision is not set; give the full hash" in refused.stderr
    assert not (tree / first).exists()
