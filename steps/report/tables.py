"""Writing all tables of an experiment into one folder."""

from pathlib import Path

from steps.config import Experiment
from steps.files import atomic_path
from steps.report.analyses import analyses_markdown
from steps.report.differences import differences_markdown
from steps.report.latex import main_latex
from steps.report.load import read_evaluation, selection_summary
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
    table = main_table(evaluation, experiment.methods)
    data = selection_summary(results)
    texts = {
        "main.md": main_markdown(table, evaluation, experiment, data),
        "main.tex": main_latex(table, experiment.title),
        "differences.md": differences_markdown(evaluation, experiment),
        "analyses.md": analyses_markdown(evaluation, experiment),
    }
    with atomic_path(output) as temporary:
        temporary.mkdir()
        for name, source in COPIED.items():
            (temporary / name).write_bytes((results / "evaluation" / source).read_bytes())
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8")
