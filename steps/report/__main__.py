"""``python -m steps.report tables|benchmarks|figures``: what people read of an experiment.

tables needs evaluation/ in the results folder and prints groups/selection.json if it is there; it
writes main, differences and analyses as CSV and Markdown, main also as LaTeX and JSON, and
analysis_differences and mcnemar as CSV. Of each benchmark it needs benchmarks/numbers/<name> and
writes benchmark_<name> as CSV, Markdown and LaTeX; the kind benchmarks writes these alone. figures
needs evaluation/, groups/, pairs/, scores/ and training/; it writes as PNG and PDF best_of_n,
token_rewards, training_curves, reliability, lengths, over_optimisation, prefixes and token_changes.
"""

from steps.config import load_experiment
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
    card = RunCard(arguments.kind, {}, experiment=experiment)
    evaluation, inputs = results / "evaluation", []
    if arguments.kind == "figures":
        # Matplotlib is slow to import, so only where it is needed.
        from steps.report.figures import write_figures
        from steps.report.training_curves_figure import training_logs

        write_figures(experiment, results, arguments.output)
        inputs = [evaluation, *input_files(experiment, results)]
        inputs += training_logs(experiment, results)
    else:
        from steps.report.benchmark_table import FOLDER
        from steps.report.load import selection_file
        from steps.report.tables import write_benchmark_tables, write_report_tables

        if arguments.kind == "tables":
            write_report_tables(experiment, results, arguments.output)
            inputs = [p for p in (evaluation, selection_file(results)) if p.exists()]
        else:
            write_benchmark_tables(experiment, results, arguments.output)
        if experiment.benchmarks:
            inputs += [PUBLISHED_SCORES, *(results / FOLDER / b for b in experiment.benchmarks)]
    card.write(arguments.card, inputs, [arguments.output])


if __name__ == "__main__":
    run_command(main)
