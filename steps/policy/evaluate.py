"""The action ``evaluate``: all policies against each other and against the one they started from.

Writes policies.csv (mean score of every judge, length, shares of finished and of empty answers,
divergence; all but the empty ones' share and correctness over answers with a text),
comparisons.csv (wins, ties, losses, win rates, differences), seeds.csv (single policies) and
lengths.csv (of every answer with a text).
"""

import argparse

import pandas as pd

from steps.config import Experiment
from steps.config.dpo import EXACT
from steps.errors import UserError
from steps.evaluate.csv_files import write_csv_files
from steps.files import atomic_path
from steps.groups.schema import read_groups
from steps.policy.answers import read_answers, with_scores
from steps.policy.compare import (
    COMPARISON_COLUMNS,
    POLICY_COLUMNS,
    SEED_COLUMNS,
    comparison_rows,
    holm,
    policy_rows,
)
from steps.policy.log_ratios import read_log_ratios
from steps.provenance import RunCard
from steps.sample.settings import sampling_for

# What does not need a judge: metric -> column of the answers.
OF_ANSWERS = {"tokens": "n_tokens", "finished": "finished", "empty": "empty"}
NO_JUDGE = ""


def evaluate_policies(arguments: argparse.Namespace, experiment: Experiment) -> None:
    """Measure and compare, and write the tables, atomically."""
    settings = {name: getattr(experiment, name) for name in ("policy", "evaluation")}
    read = {name: section.model_dump() for name, section in settings.items()}
    card = RunCard(
        "policy evaluate",
        read,
        path=arguments.card,
        inputs=[arguments.groups, *arguments.samples, *arguments.judged, *arguments.log_ratios],
        experiment=experiment,
    )
    samples = sampling_for(experiment, arguments.use).samples
    answers = read_answers(arguments.samples, read_groups(arguments.groups), samples, experiment)
    judged = with_scores(answers, {path.stem: path for path in arguments.judged})
    if EXACT in {path.stem for path in arguments.judged}:
        raise UserError(f"a judge is called '{EXACT}', which has a meaning of its own; rename it")
    if not judged:
        raise UserError(
            "there is no judge and no answer that can be checked; add one to "
            "policy.evaluation.judges or take prompts with reference answers"
        )
    measured = [(NO_JUDGE, metric, answers, column) for metric, column in OF_ANSWERS.items()]
    measured += [(judge, "score", table, "score") for judge, table in judged.items()]
    if arguments.log_ratios:
        ratios = pd.concat(map(read_log_ratios, arguments.log_ratios))
        ratios["kl"] = ratios["log_policy"] - ratios["log_reference"]
        measured.append((NO_JUDGE, "kl", ratios, "kl"))
    policies, seeds, comparisons = [], [], []
    for judge, metric, table, column in measured:
        rows, single = policy_rows(table, judge, metric, column, experiment)
        policies += rows
        seeds += single
    for judge, table in judged.items():
        comparisons += comparison_rows(table, judge, experiment)
    tables = {
        "policies.csv": pd.DataFrame(policies, columns=POLICY_COLUMNS),
        "comparisons.csv": holm(pd.DataFrame(comparisons, columns=COMPARISON_COLUMNS)),
        "seeds.csv": pd.DataFrame(seeds, columns=SEED_COLUMNS),
        "lengths.csv": answers.loc[answers["empty"] == 0, ["policy", "n_tokens"]],
    }
    with atomic_path(arguments.output) as temporary:
        temporary.mkdir()
        write_csv_files(temporary, tables)
    card.write([arguments.output])
