"""Policies in experiment files: what cannot work is refused before the first job."""

import re
from pathlib import Path

import pytest

from steps.config import load_experiment
from steps.errors import UserError
from tests.pipeline_runs import fresh_tree, run
from tests.test_config import extended


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

    tree = fresh_tree(tmp_path)
    extended(tree / "config", change)
    shown = ["--dry-run", "--printshellcmds", "--quiet", "host"]
    plan = run(tree, *shown, experiment="tiny_policy")
    assert plan.returncode == 0, plan.stderr
    for name, learnt in (("own", "in_distribution"), ("other", "out_of_distribution")):
        model = re.search(rf"--judge {name} --model (\S+)", plan.stdout)[1]
        (made,) = re.findall(rf".* steps.train model .*--output {model} .*", plan.stdout)
        assert f"--groups results/tiny/groups/{learnt}.parquet" in made
        assert f"--pairs results/tiny/pairs/{learnt}.parquet" in made
        (checked,) = re.findall(rf".* check-judge .*--judge {model} .*", plan.stdout)
        assert f"--judge-groups results/tiny/groups/{learnt}.parquet" in checked
