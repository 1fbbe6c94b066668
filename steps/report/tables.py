"""Writing all tables of an experiment into one folder."""

from pathlib import Path

from steps.config import Experiment
from steps.files import atomic_path, json_text
from steps.report.accuracy_table import accuracy_markdown
from steps.report.analyses import analyses_markdown
from steps.report.benchmark_markdown import benchmark_markdown
from steps.report.benchmark_table import FOLDER, BenchmarkResult, read_results
from steps.report.differences import differences_markdown
from steps.report.latex import main_latex
from steps.report.load import Evaluation, read_evaluation, selection_summary
from steps.report.main_table import main_table
from steps.report.markdown import main_markdown

# Copied from the evaluation, not written anew: the bytes are the same.
COPIED = {
    "main.csv": "metrics.csv",
    "differences.csv": "differences.csv",
    "mcnemar.csv": "mcnemar.csv",
    "analyses.csv": "analyses.csv",
    "analysis_differences.csv": "analysis_differences.csv",
}


def write_report_tables(experiment: Experiment, results: Path, output: Path) -> None:
    """Write every table, atomically."""
    evaluation = read_evaluation(results / "evaluation", experiment)
    table = main_table(evaluation, experiment.methods, experiment.reference_models)
    data = selection_summary(results)
    texts = {
        "main.json": json_text(_metrics(evaluation)),
        "main.md": main_markdown(table, evaluation, experiment, data),
        "main.tex": main_latex(table, experiment.title),
        "best_of_n.md": accuracy_markdown(evaluation, experiment),
        "differences.md": differences_markdown(evaluation, experiment),
        "analyses.md": analyses_markdown(evaluation, experiment),
    }
    texts |= _benchmark_texts(experiment, results)
    with atomic_path(output) as temporary:
        temporary.mkdir()
        for name, source in COPIED.items():
            (temporary / name).write_bytes((results / "evaluation" / source).read_bytes())
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8")


def write_benchmark_tables(experiment: Experiment, results: Path, output: Path) -> None:
    """Write the tables of the benchmarks alone, atomically."""
    with atomic_path(output) as temporary:
        temporary.mkdir()
        for name, text in _benchmark_texts(experiment, results).items():
            (temporary / name).write_text(text, encoding="utf-8")


def _benchmark_texts(experiment: Experiment, results: Path) -> dict[str, str]:
    texts = {}
    for result in read_results(experiment, results):
        texts |= benchmark_files(result, experiment, results)
    return texts


def _metrics(evaluation: Evaluation) -> dict[str, dict[str, dict[str, float]]]:
    """Return the main numbers by set, method and metric, which `dvc metrics` compares."""
    numbers: dict[str, dict[str, dict[str, float]]] = {}
    for row in evaluation.metrics.dropna(subset=["value"]).itertuples():
        of_method = numbers.setdefault(row.eval_set, {}).setdefault(row.method, {})
        of_method[row.metric] = row.value
    return numbers


def benchmark_files(
    result: BenchmarkResult, experiment: Experiment, results: Path
) -> dict[str, str]:
    """Return the texts of a benchmark's files by name."""
    name = f"benchmark_{result.name}"
    table = result.main_table(experiment)
    numbers = results / FOLDER / result.name / "methods.csv"
    return {
        f"{name}.csv": numbers.read_text(encoding="utf-8"),
        f"{name}.md": benchmark_markdown(result, experiment),
        f"{name}.tex": main_latex(table, f"{experiment.title}, {result.title}, percent"),
    }
