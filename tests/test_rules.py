"""Promises of the workflow's rules, read from their files."""

import re

import pytest

from steps.config.cluster_rules import GROUPED, RULES
from tests.conftest import ROOT

# The text of every rule with a command, its own or that of the rule that it changes, by its name.
TEXTS = {
    name: text
    for file in sorted((ROOT / "workflow/rules").glob("*.smk"))
    for changed, name, text in re.findall(
        r"^ *(?:(use rule \w+ as)|rule) (\w+)(?: with)?:\n(.*?)(?=^ *(?:use )?rule |\Z)",
        file.read_text(),
        re.M | re.S,
    )
    if changed or "shell:" in text
}
TEXTS.pop("train_judge")  # a training like those of `train`, and asks for the same
ASKED = r'\*\*ask\("(\w+)"\)'


@pytest.mark.parametrize("name", TEXTS)
def test_a_rule_runs_on_the_login_node_or_asks_under_its_own_name(name: str) -> None:
    local = "localrule: True" in TEXTS[name]
    assert local == name.startswith("download_")  # nodes may have no way out
    assert re.findall(ASKED, TEXTS[name]) == ([] if local else [name])


def test_the_names_of_the_rules_are_all_that_ask() -> None:
    texts = [file.read_text() for file in (ROOT / "workflow/rules").glob("*.smk")]
    assert sorted(RULES) == sorted(name for text in texts for name in re.findall(ASKED, text))


def test_the_rules_of_groups_are_known() -> None:
    inherited = {"score_benchmark_ensemble"}  # changes `score_ensemble`, and stays in its group
    found = {name for name, text in TEXTS.items() if re.search(r"^ *group:$", text, re.M)}
    assert set(GROUPED) == found | inherited
