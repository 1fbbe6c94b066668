"""A benchmark's tables as Markdown: the numbers, their parts, and what they show."""

from steps.config import Experiment
from steps.config.load import PUBLISHED_SCORES
from steps.report.benchmark_conclusions import conclusions
from steps.report.benchmark_table import BenchmarkResult, NumberTable, notes
from steps.report.main_table import ONE_RUN
from steps.report.markdown import bullets, grid


def benchmark_markdown(result: BenchmarkResult, experiment: Experiment) -> str:
    """Return the text of one benchmark."""
    table = result.main_table(experiment)
    more = [number for number in result.parts if number not in result.shown_first(experiment)]
    citations = [f"Published: {row.citation}." for row in result.published(experiment)]
    citations = citations or [f"{PUBLISHED_SCORES} has no number of others for this backbone."]
    parts = [
        f"# {experiment.title}: {result.title} ('{result.name}')\n",
        _grid(table) if more else _turned(table),
        bullets(_reading(table, experiment) + notes(result) + citations),
    ]
    if more:
        parts += ["## Parts\n", _turned(result.table(experiment, more))]
    parts += ["## What can and cannot be concluded\n", *conclusions(result, experiment)]
    return "\n".join(parts)


def _grid(table: NumberTable) -> str:
    header = ["method", "seeds", *(number for _, number in table.columns)]
    rows = [[title, runs, *map(str, cells)] for title, runs, cells in table.rows]
    return grid(header, [*rows, ["n", "", *table.counts]])


def _turned(table: NumberTable) -> str:
    """The same with the numbers down, of which there are many."""
    header = ["part", "n", *(title for title, _, _ in table.rows)]
    seeds = ["seeds", "", *(runs for _, runs, _ in table.rows)]
    rows = [
        [number, n, *(str(cells[place]) for _, _, cells in table.rows)]
        for place, ((_, number), n) in enumerate(zip(table.columns, table.counts, strict=True))
    ]
    return grid(header, [seeds, *rows])


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
