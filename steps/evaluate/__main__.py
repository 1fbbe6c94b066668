"""``python -m steps.evaluate``: metrics with intervals from groups, pairs and scores.

Needs in the results folder: groups/<set>.parquet, pairs/<set>.parquet and
scores/<method>/seed<k>/<set>.parquet for every method, seed and evaluation set of the experiment
(of an ensemble under the first seed only).
Writes into the output folder metrics.csv (a row per method, set and metric), differences.csv
(paired differences between methods), seeds.csv (every run by itself), mcnemar.csv (McNemar's test
of pair accuracy), analyses.csv and analysis_differences.csv (calibration, length,
over-optimisation, prefixes, wrong steps, token changes) and manifest.json (what these must hold).
"""

from steps.config import load_experiment
from steps.errors import run_command
from steps.evaluate.command_line import results_parser
from steps.evaluate.evaluate import evaluate
from steps.evaluate.load import input_files, read_evaluation_sets
from steps.evaluate.tables import write_tables
from steps.provenance import RunCard


def main() -> None:
    arguments = results_parser("evaluate", __doc__).parse_args()
    experiment = load_experiment(arguments.experiment)
    card = RunCard(
        "evaluate",
        experiment.evaluation.model_dump(),
        path=arguments.card,
        inputs=input_files(experiment, arguments.results),
        experiment=experiment,
    )
    sets = read_evaluation_sets(experiment, arguments.results)
    # Those of one set are those of all: reading has checked it.
    write_tables(arguments.output, evaluate(experiment, sets), experiment, sets[0].models)
    card.write([arguments.output])


if __name__ == "__main__":
    run_command(main)
