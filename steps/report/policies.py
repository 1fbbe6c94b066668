"""``python -m steps.report.policies``: what people read of the comparison of policies.

Reads the folder of `python -m steps.policy evaluate` for every kind of sampling and writes
policies.csv, policies.md, policies.tex (the paper's table of policies, T3), policy_lengths.png and
.pdf (F2) and, where divergences were measured, reward_kl.png and reward_kl.pdf.
"""

import argparse
from pathlib import Path

import pandas as pd

from steps.config import Experiment, load_experiment
from steps.errors import UserError, nearest, run_command
from steps.files import atomic_path
from steps.provenance import RunCard
from steps.report.csv_file import read_csv
from steps.report.policy_lengths_figure import save_policy_lengths
from steps.report.policy_table import policies_latex, policies_markdown
from steps.report.reward_kl_figure import save_reward_kl

FILES = ("policies", "comparisons", "seeds")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m steps.report.policies", description=__doc__)
    parser.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    parser.add_argument(
        "--evaluations",
        type=Path,
        nargs="+",
        required=True,
        help="folders of `steps.policy evaluate`, named after the entry of policy.sampling",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")
    arguments = parser.parse_args()

    experiment = load_experiment(arguments.experiment)
    _check_names(arguments.evaluations, experiment)
    card = RunCard(
        "report policies",
        {},
        path=arguments.card,
        inputs=arguments.evaluations,
        experiment=experiment,
    )
    evaluations = {folder.name: read_evaluation(folder) for folder in arguments.evaluations}
    write_policy_report(experiment, evaluations, arguments.output)
    card.write([arguments.output])


def _check_names(folders: list[Path], experiment: Experiment) -> None:
    uses = list(experiment.policy.sampling) if experiment.policy else []
    for folder in folders:
        if folder.name not in uses:
            raise UserError(
                f"--evaluations: {folder} is not called as an entry of policy.sampling; "
                + (nearest(folder.name, uses) if uses else "the experiment has none")
            )


def read_evaluation(folder: Path) -> dict[str, pd.DataFrame]:
    """Read the tables of one evaluation; an empty judge is none."""
    tables = {}
    for name in FILES:
        wanted = ["policy", "judge", "metric", "value"]
        table = read_csv(folder / f"{name}.csv", wanted)
        tables[name] = table.fillna({"judge": ""})
    return tables | {"lengths": read_csv(folder / "lengths.csv", ["policy", "n_tokens"])}


def write_policy_report(
    experiment: Experiment, evaluations: dict[str, dict[str, pd.DataFrame]], output: Path
) -> None:
    """Write the tables, the lengths and, where there are divergences, their figure, atomically."""
    comparisons = {use: tables["comparisons"] for use, tables in evaluations.items()}
    if all(table.empty for table in comparisons.values()):
        raise UserError("--evaluations: no comparison is in these folders; evaluate again")
    whole = pd.concat(table.assign(sampling=use) for use, table in comparisons.items())
    with atomic_path(output) as temporary:
        temporary.mkdir()
        whole.to_csv(temporary / "policies.csv", index=False, lineterminator="\n")
        texts = {
            "policies.md": policies_markdown(experiment, evaluations),
            "policies.tex": policies_latex(experiment, evaluations),
        }
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8")
        lengths = {use: tables["lengths"] for use, tables in evaluations.items()}
        save_policy_lengths(lengths, experiment, temporary)
        for tables in evaluations.values():
            if (tables["seeds"]["metric"] == "kl").any():
                save_reward_kl(tables["seeds"], experiment, temporary)


if __name__ == "__main__":
    run_command(main)
