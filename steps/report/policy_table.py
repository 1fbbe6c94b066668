"""The table of policies (T3): wins, ties and losses of each policy against another, by judge."""

import pandas as pd

from steps.config import Experiment
from steps.config.dpo import EXACT
from steps.policy.names import REFERENCE
from steps.report.latex import escape, tabular, two_lines
from steps.report.main_table import MISSING, ONE_RUN, Cell, format_interval
from steps.report.markdown import bullets, grid
from steps.report.names import method_title
from steps.report.policy_conclusions import policy_conclusions

COLUMNS = {
    "win": "win",
    "tie": "tie",
    "lose": "lose",
    "win_rate": "win rate",
    "length_controlled_win_rate": "length-controlled",
    "score_difference": "score difference",
}
WITH_INTERVAL = {"win_rate", "length_controlled_win_rate", "score_difference"}
OF_POLICIES = {
    "score": "mean score",
    "tokens": "tokens",
    "finished": "finished",
    "empty": "empty answers",
    "kl": "KL",
}

Tables = dict[str, pd.DataFrame]


def policy_title(policy: str) -> str:
    """The policy of a method, or the one that all started from."""
    return "starting policy" if policy == REFERENCE else method_title(policy)


def sampling_title(use: str, experiment: Experiment) -> str:
    """How the answers were made, in words."""
    sampling = experiment.policy.sampling[use]
    if sampling.temperature == 0:
        return "greedy"
    return f"{sampling.samples} samples, temperature {sampling.temperature:g}"


def comparison_lines(comparisons: pd.DataFrame) -> list[tuple[list[str], list[Cell], list[str]]]:
    """Return (names, cells, [n, seeds]) of each comparison; cells: `COLUMNS` and corrected p."""
    lines = []
    for (judge, policy, opponent), part in comparisons.groupby(
        ["judge", "policy", "opponent"], sort=False
    ):
        rows = part.set_index("metric")
        cells = [estimate_cell(rows.loc[metric], metric in WITH_INTERVAL) for metric in COLUMNS]
        corrected = rows.loc[["win_rate", "score_difference"], "p_holm"]
        cells.append(Cell(" / ".join(f"{value:.3f}" for value in corrected)))
        names = [judge, f"{policy_title(policy)} against {policy_title(opponent)}"]
        lines.append((names, cells, [str(part["n"].iloc[0]), str(part["seeds"].iloc[0])]))
    return lines


def policy_lines(policies: pd.DataFrame) -> list[list[str]]:
    """Return the cells of each policy's own numbers."""
    lines = []
    for policy, part in policies.groupby("policy", sort=False):
        for row in part.itertuples(index=False):
            numbers = f"{row.value:.3f} {format_interval(row.ci_low, row.ci_high)}"
            metric = OF_POLICIES[row.metric] + (f", {row.judge}" if row.judge else "")
            lines.append([policy_title(policy), metric, numbers, str(row.n), str(row.seeds)])
    return lines


def policies_markdown(experiment: Experiment, evaluations: dict[str, Tables]) -> str:
    """Return policies.md: for each kind of sampling comparisons and numbers; conclusions."""
    parts = [f"# {experiment.title}: policies\n"]
    header = ["judge", "policies", *COLUMNS.values(), "p (Holm) win rate / score", "n", "seeds"]
    for use, tables in evaluations.items():
        rows = [
            [*names, *map(str, cells), *size]
            for names, cells, size in comparison_lines(tables["comparisons"])
        ]
        parts += [
            f"## {sampling_title(use, experiment).capitalize()}\n",
            grid(header, rows),
            grid(["policy", "measure", "value", "n", "seeds"], policy_lines(tables["policies"])),
        ]
    parts.append(bullets(_reading(experiment, evaluations)))
    compared = {
        sampling_title(use, experiment).capitalize(): tables["comparisons"]
        for use, tables in evaluations.items()
    }
    return "\n".join([*parts, *policy_conclusions(compared, experiment)])


def _reading(experiment: Experiment, evaluations: dict[str, Tables]) -> list[str]:
    settings = experiment.evaluation
    lines = [
        "n counts prompts; the answers of one policy meet those of the other to the same prompt, "
        "every seed of one method every seed of the other. A tie is an equal score and "
        "half a win in the win rate.",
        f"Brackets are {100 * settings.confidence:g}% intervals over prompts "
        f"({settings.bootstrap_samples:,} bootstrap resamples; of the length-controlled rate Wald, "
        "clustered by prompt). They do not say how far another training run would lie.",
        "p: two-sided permutation test over prompts, corrected by Holm over all tests of one kind "
        "of sampling.",
        "Length-controlled: the fitted win rate at equal length (steps/policy/length_control.py); "
        f"{MISSING} where it is not defined, because length or chance separates all wins. It is "
        "not tested, nor are its intervals corrected for their number: nothing is concluded of it.",
        "An empty answer loses against every other and ties with an empty one. Means, score "
        "differences and length-controlled rates are of the answers with a text; how many are not "
        f"is told by the share of empty answers. The judge '{EXACT}' gives an empty answer 0.",
        f"The judge '{EXACT}' gives 1 to an answer that equals the reference answer, 0 to another.",
        f"{ONE_RUN} one run of a method only: another training may give another number.",
    ]
    if any((tables["policies"]["metric"] == "kl").any() for tables in evaluations.values()):
        lines.append(
            "KL: a policy's divergence from the starting policy in nats per answer, estimated from "
            "the tokens of its own samples. Empty ones are left out. An estimate of few samples "
            "may fall below zero."
        )
    return lines


def policies_latex(experiment: Experiment, evaluations: dict[str, Tables]) -> str:
    """Return T3 as a tabular (package booktabs), to be read with ``\\input``."""
    header = ["judge", "policies", *COLUMNS.values(), "$p$ (Holm)", "$n$", "seeds"]
    sections = {
        sampling_title(use, experiment): [
            row
            for names, cells, size in comparison_lines(tables["comparisons"])
            for row in two_lines(names, cells, size)
        ]
        for use, tables in evaluations.items()
    }
    for use, tables in evaluations.items():
        sections[f"{sampling_title(use, experiment)}: mean score of each policy"] = [
            [escape(judge), escape(title), *[""] * 5, escape(number), "", n, seeds]
            for title, metric, number, n, seeds in policy_lines(tables["policies"])
            for measure, _, judge in [metric.partition(", ")]
            if measure == OF_POLICIES["score"]
        ]
    return tabular(experiment.title, "llcccccccrr", header, sections)


def estimate_cell(row: pd.Series, with_interval: bool) -> Cell:
    """Return the cell of a row of estimates: value, ci_low, ci_high and seeds."""
    if pd.isna(row["value"]):
        return Cell(MISSING)
    interval = format_interval(row["ci_low"], row["ci_high"]) if with_interval else ""
    mark = ONE_RUN if with_interval and row["seeds"] == 1 else ""
    return Cell(f"{row['value']:.3f}", interval, mark)
