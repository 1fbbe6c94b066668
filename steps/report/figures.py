"""Writing all figures of an experiment into one folder."""

from pathlib import Path

from steps.config import Experiment
from steps.evaluate.load import read_evaluation_sets
from steps.files import atomic_path
from steps.report.best_of_n_figure import best_of_n_figure
from steps.report.figure_style import figure_style, save
from steps.report.lengths_figure import lengths_figure
from steps.report.load import read_evaluation
from steps.report.over_optimisation_figure import over_optimisation_figure
from steps.report.prefixes_figure import prefixes_figure
from steps.report.reliability_figure import reliability_figure
from steps.report.token_changes_figure import token_changes_figure
from steps.report.token_rewards_figure import token_rewards_figure
from steps.report.training_curves_figure import training_curves_figure


def write_figures(experiment: Experiment, results: Path, output: Path) -> None:
    """Write every figure as PNG and PDF, atomically."""
    evaluation = read_evaluation(results / "evaluation", experiment)
    sets = read_evaluation_sets(experiment, results)
    with figure_style(), atomic_path(output) as temporary:
        temporary.mkdir()
        figures = {
            "best_of_n": best_of_n_figure(evaluation, experiment),
            "token_rewards": token_rewards_figure(sets, experiment),
            "training_curves": training_curves_figure(experiment, results),
            "reliability": reliability_figure(evaluation, experiment),
            "lengths": lengths_figure(evaluation, sets, experiment),
            "over_optimisation": over_optimisation_figure(evaluation, experiment),
            "prefixes": prefixes_figure(evaluation, experiment),
            "token_changes": token_changes_figure(evaluation, experiment),
        }
        for name, figure in figures.items():
            save(figure, temporary, name)
