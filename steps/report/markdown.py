"""The tables as Markdown."""

from steps.config import Experiment
from steps.report.conclusions import (
    against_baselines,
    against_reference_models,
    between_trained,
    seed_spread,
    sentences_against,
    sentences_between,
    summary,
)
from steps.report.load import Evaluation
from steps.report.main_table import ONE_RUN, MainTable


def grid(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table with aligned columns."""
    cells = [[cell.replace("|", r"\|") for cell in row] for row in [header, *rows]]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def bullets(sentences: list[str]) -> str:
    """Return a Markdown list."""
    return "".join(f"- {sentence}\n" for sentence in sentences)


def main_markdown(
    table: MainTable, evaluation: Evaluation, experiment: Experiment, data: list[str]
) -> str:
    """Return main.md: the table, how to read it, the data, and what can be concluded."""
    settings = experiment.evaluation
    header = ["method", "seeds", *(f"{name}: {metric}" for name, metric in table.headers())]
    rows = [[title, seeds, *map(str, cells)] for title, seeds, cells in table.rows]
    rows.append(["n", "", *table.counts])
    parts = [
        f"# {experiment.title}\n",
        grid(header, rows),
        bullets(reading(table, experiment) + seed_spread(evaluation, experiment.methods)),
    ]
    if data:
        parts += ["## Data\n", bullets(data)]
    parts.append("## What can and cannot be concluded\n")
    trained = between_trained(evaluation, experiment.methods)
    if len(trained):
        parts += ["Between the trained methods:\n", bullets(summary(trained, settings))]
        parts.append(bullets(sentences_between(trained, settings)))
    others = {
        "Against rules that need no training": against_baselines(evaluation),
        "Against the reference models": against_reference_models(
            evaluation, experiment.reference_models
        ),
    }
    for heading, family in others.items():
        if len(family):
            parts += [f"{heading}:\n", bullets(summary(family, settings))]
            parts.append(bullets(sentences_against(family, evaluation, settings)))
    parts.append(
        "p is that of the bootstrap over problems; corrected is Holm's, for all comparisons of one "
        "list together. A difference that does not stand after correction is a hint, not a proof: "
        f"of many intervals of {100 * settings.confidence:g}%, about "
        f"{100 * (1 - settings.confidence):.2g}% exclude zero by chance alone. The numbers of "
        "problems needed are those that would show the difference with a probability of 80%, "
        "before correction. All differences and McNemar's test: differences.md and "
        "differences.csv.\n"
    )
    return "\n".join(parts)


def reading(table: MainTable, experiment: Experiment) -> list[str]:
    """How to read the numbers of a table."""
    settings = experiment.evaluation
    metrics = {metric for _, metric in table.columns}
    lines = [
        f"A cell is the mean over seeds. In brackets: its {100 * settings.confidence:g}% interval "
        f"from {settings.bootstrap_samples:,} bootstrap resamples of the problems; it says how far "
        "the number would move with other problems, not with other training runs. n counts pairs, "
        "problems (best-of-N) or responses (localisation)."
    ]
    if table.has_spread:
        lines.append(
            f"±: half of the {100 * settings.confidence:g}% Student t-interval over the seeds; it "
            "says how far the mean would move with other training runs on the same data, not with "
            "other problems. The two do not add up to one interval."
        )
    if table.has_one_run:
        lines.append(
            f"{ONE_RUN} one run only (one seed, or one ensemble of all seeds): another training "
            "may give another number, and there is no interval over seeds."
        )
    if "pair_accuracy" in metrics:
        lines.append(
            "Pair accuracy: the better response has the strictly higher reward; baselines break "
            "ties by a coin."
        )
    if any(metric.startswith("best_of_") for metric in metrics):
        lines.append(
            "Best-of-N: the response with the highest reward of N is right (unbiased estimate from "
            "all responses of a problem; ties count their expectation)."
        )
    if "first_wrong_step" in metrics:
        lines.append(
            "First-wrong-step localisation: the reward falls most inside the annotated first wrong "
            "step; Random is the share of tokens inside."
        )
    return lines
