"""best_of_n.md: how often each method's pick of N is right, the paper's table for mathematics."""

from steps.config import Experiment
from steps.report.load import Evaluation
from steps.report.main_table import arrange
from steps.report.markdown import bullets, grid, reading
from steps.report.names import set_title


def accuracy_markdown(evaluation: Evaluation, experiment: Experiment) -> str:
    """Return a table for every evaluation set whose responses are known to be right or wrong."""
    parts = [f"# {experiment.title}: accuracy of the pick of N\n"]
    lines: list[str] = []
    for name in evaluation.pair_sets:
        drawn = evaluation.best_of(name)
        if not drawn:
            continue
        columns = [(name, f"best_of_{number}") for number in drawn]
        table = arrange(evaluation, columns, experiment.methods, experiment.reference_models)
        header = ["method", "seeds", *(f"N = {number}" for number in drawn)]
        rows = [[title, seeds, *map(str, cells)] for title, seeds, cells in table.rows]
        parts += [f"## {set_title(name)}\n", grid(header, [*rows, ["n", "", *table.counts]])]
        lines += [line for line in reading(table, experiment) if line not in lines]
    if not lines:
        return f"{parts[0]}\nNo evaluation set has responses that are known to be right or wrong.\n"
    lines += [
        "A larger N counts only the problems that have as many responses: columns with another n "
        "are not of the same problems. Oracle is right where any of the N is.",
        "Which differences can be told from chance: differences.md.",
    ]
    return "\n".join([*parts, bullets(lines)])
