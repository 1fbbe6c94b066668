"""The further analyses as Markdown: their tables, how to read them, the methods' differences."""

import pandas as pd

from steps.config import Experiment
from steps.report.analysis_sections import Column, Section, sections
from steps.report.conclusions import UNSEEN, exploratory, seed_caution, signed, verdict
from steps.report.load import Evaluation
from steps.report.main_table import format_spread, main_cell
from steps.report.markdown import bullets, grid
from steps.report.names import method_title, metric_title, set_title

Row = tuple  # of a table, as `itertuples` gives it


def analyses_markdown(evaluation: Evaluation, experiment: Experiment) -> str:
    """Return analyses.md: a table per analysis, how to read it, and what differs."""
    table = pd.concat([evaluation.metrics.assign(at=float("nan")), evaluation.analyses])
    rows = {(row.eval_set, row.method, *_column(row)): row for row in table.itertuples(index=False)}
    widest = evaluation.widest_set
    numbers = evaluation.best_of(widest) if widest else []
    parts = [f"# {experiment.title}: analyses\n"]
    for section in sections(numbers):
        grid_rows = _grid_rows(section, rows, experiment)
        if grid_rows:
            titles = [_title(section, column) for column in section.columns]
            parts += [f"## {section.title}\n", grid(["set", "method", *titles, "n"], grid_rows)]
            parts += [section.reading, bullets(_sentences(section, evaluation, experiment))]
    level = f"{100 * experiment.evaluation.confidence:g}%"
    parts.append(
        f"In brackets: {level} bootstrap interval over problems; ±: half of the {level} t-interval "
        f"over seeds. These analyses explore: {exploratory(experiment.evaluation)}. All sets, "
        "baselines, bins and Ns: analyses.csv and analysis_differences.csv.\n"
    )
    return "\n".join(parts)


def _column(row: Row) -> Column:
    return row.metric, None if pd.isna(row.at) else row.at


def _title(section: Section, column: Column) -> str:
    metric, at = column
    place = "" if at is None else ", " + section.place.format(at)
    return metric_title(metric) + place


def _grid_rows(section: Section, rows: dict[tuple, Row], experiment: Experiment) -> list[list[str]]:
    """A row for each set and trained method that has a number; n is that of the first one."""
    grid_rows = []
    for eval_set in dict.fromkeys(key[0] for key in rows):
        for method in experiment.methods:
            found = [rows.get((eval_set, method, *column)) for column in section.columns]
            present = [row for row in found if row is not None]
            if present:
                cells = [str(main_cell(row)) for row in found]
                names = [set_title(eval_set), method_title(method)]
                grid_rows.append([*names, *cells, str(present[0].n)])
    return grid_rows


def _sentences(section: Section, evaluation: Evaluation, experiment: Experiment) -> list[str]:
    """The differences between trained methods, each on the set with the most items."""
    table = pd.concat(
        [evaluation.differences.assign(at=float("nan")), evaluation.analysis_differences]
    )
    table = table[table["reference"].isin(experiment.methods)]
    sentences = []
    for metric, at in section.compared:
        rows = table[table["metric"] == metric]
        rows = rows[rows["at"].isna() if at is None else rows["at"] == at]
        rows = (
            rows[rows["eval_set"] == rows.loc[rows["n"].idxmax(), "eval_set"]]
            if len(rows)
            else rows
        )
        for row in rows.itertuples(index=False):
            numbers = (row.value, row.ci_low, row.ci_high)
            difference = [signed(*numbers), format_spread(row.t_half_width)]
            reading = [verdict(*numbers)]
            if reading != [UNSEEN]:
                reading.append(seed_caution(row.value, row.t_half_width))
            sentences.append(
                f"{method_title(row.method)} - {method_title(row.reference)}, "
                f"{_title(section, (metric, at))}, {set_title(row.eval_set)}: "
                f"{' '.join(filter(None, difference))}: {', '.join(filter(None, reading))}."
            )
    return sentences
