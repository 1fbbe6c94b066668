"""Length density of the policies' answers (F2)."""

from pathlib import Path

import pandas as pd

from steps.config import Experiment
from steps.policy.names import REFERENCE, policy_name
from steps.report.figure_style import figure_style, legend_below, new_figure, save
from steps.report.length_densities import draw_length_densities
from steps.report.policy_table import sampling_title


def save_policy_lengths(
    lengths: dict[str, pd.DataFrame], experiment: Experiment, folder: Path
) -> None:
    """Draw one panel per kind of sampling; the seeds of a method count equally.

    Args:
        lengths: by the entry of policy.sampling; columns policy and n_tokens, a row per answer.
    """
    method_of = {policy_name(*run): run[0] for run in experiment.policy_runs}
    with figure_style():
        figure = new_figure(2.4)
        panels = figure.subplots(1, len(lengths), squeeze=False)[0]
        for panel, (use, table) in zip(panels, lengths.items(), strict=True):
            method = table["policy"].map(method_of).fillna(REFERENCE)
            # A seed with fewer texts weighs as much as the others.
            weight = 1 / table.groupby("policy")["policy"].transform("size")
            own = table.assign(method=method, weight=weight)
            draw_length_densities(panel, own, REFERENCE, "Starting policy", experiment)
            panel.set_title(sampling_title(use, experiment))
        legend_below(figure, list(panels), columns=4)
        figure.suptitle("Lengths of the policies' answers")
        save(figure, folder, "policy_lengths")
