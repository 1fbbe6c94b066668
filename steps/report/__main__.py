"""``python -m steps.report tables|benchmarks|figures``: what people read of an experiment.

tables needs evaluation/ in the results folder and prints groups/selection.json if it is there; it
writes main, differences and analyses as CSV and Markdown, main also as LaTeX and JSON, and
analysis_differences and mcnemar as CSV. Of each benchmark it needs benchmarks/numbers/<name> and
writes benchmark_<name> as CSV, Markdown and LaTeX; the kind benchmarks writes these alone. figures
needs evaluation/, groups/, pairs/, scores/ and training/; it writes as PNG and PDF best_of_n,
token_rewards, training_curves, reliability, lengths, over_optimisation, prefixes and token_changes.
"""

from pathlib import Path

from steps.config import Experiment, load_experiment
from steps.config.load import PUBLISHED_SCORES
from steps.errors import run_command
from steps.evaluate.command_line import results_parser
from steps.evaluate.load import input_files
from steps.provenance import RunCard


def main() -> None:
    parser = results_parser("report", __doc__)
    parser.add_argument("kind", choices=["tables", "benchmarks", "figures"])
    arguments = parser.parse_args()

    experiment = load_experiment(arguments.experiment)
    results = arguments.results
    inputs = _inputs(arguments.kind, experiment, results)
    card = RunCard(arguments.kind, {}, path=arguments.card, inputs=inputs, experiment=experiment)
    if arguments.kind == "figures":
        # Matplotlib is slow to import, so only where it is needed.
        from steps.report.figures import write_figures as write
    elif arguments.kind == "tables":
        from steps.report.tables import write_report_tables as write
    else:
        from steps.report.tables import write_benchmark_tables as write
    write(experiment, results, arguments.output)
    card.write([arguments.output])


def _inputs(kind: str, experiment: Experiment, results: Path) -> list[Path]:
    """Return what the tables or figures are made from."""
    evaluation = results / "evaluation"
    if kind == "figures":
        from steps.report.training_curves_figure import training_logs

        files = input_files(experiment, results)
        return [evaluation, *files, *training_logs(experiment, results)]
    from steps.report.benchmark_table import FOLDER
    from steps.report.load import selection_file

    inputs = []
    if kind == "tables":
        inputs = [p for p in (evaluation, selection_file(results)) if p.exists()]
    if experiment.benchmarks:
        inputs += [PUBLISHED_SCORES, *(results / FOLDER / b for b in experiment.benchmarks)]
    return inputs


if __name__ == "__main__":
    run_command(main)
