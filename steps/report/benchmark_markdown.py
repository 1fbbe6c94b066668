"""A benchmark's tables as Markdown: the numbers, their parts, and what they show."""

from steps.config import Experiment
from steps.config.load import PUBLISHED_SCORES
from steps.report.benchmark_table import (
    BenchmarkResult,
    NumberTable,
    notes,
    percent,
    percent_interval,
    row_title,
)
from steps.report.conclusions import UNSEEN, exploratory, seed_caution, verdict
from steps.report.main_table import ONE_RUN
from steps.report.markdown import bullets, grid


def benchmark_markdown(result: BenchmarkResult, experiment: Experiment) -> str:
    """Return the text of one benchmark."""
    table = result.headline_table(experiment)
    citations = [f"Published: {row.citation}." for row in result.published(experiment)]
    citations = citations or [f"{PUBLISHED_SCORES} has no number of others for this backbone."]
    parts = [
        f"# {experiment.title}: {result.title} ('{result.name}')\n",
        _grid(table),
        bullets(_reading(table, experiment) + notes(result, experiment) + citations),
    ]
    if result.parts:
        parts += ["## Parts\n", _turned(result.table(experiment, result.parts))]
    differences = _differences(result, experiment)
    if differences:
        parts += ["## Between the trained methods\n", bullets(differences)]
        parts.append(f"These explore: {exploratory(experiment.evaluation)}.\n")
    return "\n".join(parts)


def _grid(table: NumberTable) -> str:
    header = ["method", "seeds", *(number for _, number in table.columns)]
    rows = [[title, runs, *map(str, cells)] for title, runs, cells in table.rows]
    return grid(header, [*rows, ["n", "", *table.counts]])


def _turned(table: NumberTable) -> str:
    """The same with the numbers down, of which there are many."""
    header = ["part", "n", *(title for title, _, _ in table.rows)]
    rows = [
        [number, n, *(str(cells[place]) for _, _, cells in table.rows)]
        for place, ((_, number), n) in enumerate(zip(table.columns, table.counts, strict=True))
    ]
    return grid(header, rows)


def _reading(table: NumberTable, experiment: Experiment) -> list[str]:
    settings = experiment.evaluation
    lines = [
        f"Percent; the mean over runs and its {100 * settings.confidence:g}% interval from "
        f"{settings.bootstrap_samples:,} bootstrap resamples of the prompts; ± is half the width "
        "of Student's t-interval over runs. n counts items.",
        "The benchmark counts a tie as wrong; Longest and Shortest order equal lengths by a draw.",
    ]
    if table.has_one_run:
        lines.append(
            f"{ONE_RUN} one run only (one seed, or one ensemble of all seeds): another training "
            "may give another number."
        )
    return lines


def _differences(result: BenchmarkResult, experiment: Experiment) -> list[str]:
    """A sentence for each two trained methods and headline number, paired over the same prompts.

    Where every headline number is refused, for each part.
    """
    headline = result.differences["number"].isin(result.benchmark.headline)
    counts = result.methods.set_index(["method", "number"])["n"]
    sentences = []
    for row in result.differences[headline | ~headline.any()].itertuples():
        one_run = ", one run only" if row.seeds == 1 else ""
        names = [row_title(name, experiment) for name in (row.method, row.reference)]
        value = f"{percent(row.value, '+')} {percent_interval(row.ci_low, row.ci_high, '+')}"
        n = counts[row.method, row.number]
        reading = [verdict(row.ci_low, row.ci_high)]
        if reading != [UNSEEN]:
            reading.append(seed_caution(row.value, row.t_half_width))
        sentences.append(
            f"{' - '.join(names)}, {row.number} (n = {n}): {value}{one_run}: "
            f"{', '.join(filter(None, reading))}."
        )
    return sentences
