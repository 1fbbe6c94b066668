"""The paired differences and McNemar's test, as Markdown."""

import pandas as pd

from steps.config import Experiment
from steps.report.conclusions import (
    against_baselines,
    against_reference_models,
    between_trained,
    headlines,
    needed,
    signed,
    verdict,
)
from steps.report.holm import CORRECTED, p_text
from steps.report.load import Evaluation
from steps.report.main_table import MISSING, ONE_RUN, format_spread
from steps.report.markdown import grid
from steps.report.names import method_title, metric_title, set_title

HEADER = [
    *("difference", "set", "metric", "value", "n", "seeds", "p", "corrected p", "reading", "note")
]
MCNEMAR_HEADER = [
    *("method", "reference", "set", "pairs won by one only", "p over pairs"),
    *("problems won by one", "p over problems"),
]
READING = """\
Paired over the same problems. In brackets: the bootstrap interval over problems; ±: half of the
t-interval over seeds, runs with the same seed paired. p is that of the bootstrap; corrected p is
Holm's for the comparisons below the main table, given for these alone. Per-category and other
best-of-N differences are in differences.csv.
"""
MCNEMAR_READING = """\
McNemar's exact test of pair accuracy. A method wins a pair if more than half of its runs do; in
`a : b` the method alone wins a, the reference alone b. The pairs of one problem are not
independent, so that p over pairs is too small; over problems, each counts once, for the method that
wins more of its pairs. Conclusions rest on the bootstrap, not on this.
"""


def differences_markdown(evaluation: Evaluation, experiment: Experiment) -> str:
    """Return differences.md: the paired differences of the headline metrics, McNemar's test."""
    table = evaluation.differences
    wanted = {metric for _, metric in headlines(evaluation, same_model=True)}
    wanted |= {"first_wrong_step_hinted", "reward_length_correlation"}
    families = pd.concat(
        [
            between_trained(evaluation, experiment.methods),
            against_baselines(evaluation),
            against_reference_models(evaluation, experiment.reference_models),
        ]
    )
    table = table.assign(**{CORRECTED: families[CORRECTED]})
    rows = table[table["metric"].isin(wanted)].itertuples(index=False)
    parts = [
        f"# {experiment.title}: differences\n",
        grid(HEADER, [_cells(row, experiment.evaluation.confidence) for row in rows]),
        READING + (f"{ONE_RUN} one run only.\n" if (table["seeds"] == 1).any() else ""),
    ]
    if len(evaluation.mcnemar):
        tests = [_mcnemar_cells(row) for row in evaluation.mcnemar.itertuples(index=False)]
        parts += ["## McNemar's test\n", grid(MCNEMAR_HEADER, tests), MCNEMAR_READING]
    return "\n".join(parts)


def _cells(row: tuple, confidence: float) -> list[str]:
    numbers = (row.value, row.ci_low, row.ci_high)
    mark = ONE_RUN if row.seeds == 1 else ""
    reading = verdict(*numbers)
    stands = not (reading in ("higher", "lower") and row.p_corrected > 1 - confidence)
    return [
        f"{method_title(row.method)} - {method_title(row.reference)}",
        set_title(row.eval_set),
        metric_title(row.metric),
        " ".join(filter(None, (signed(*numbers), format_spread(row.t_half_width), mark))),
        str(row.n),
        str(row.seeds),
        _p_text(row.p_value),
        _p_text(row.p_corrected),
        reading + ("" if stands else ", not after correction"),
        needed(*numbers, confidence),
    ]


def _p_text(p_value: float) -> str:
    return MISSING if pd.isna(p_value) else p_text(p_value)


def _mcnemar_cells(row: tuple) -> list[str]:
    return [
        method_title(row.method),
        method_title(row.reference),
        set_title(row.eval_set),
        f"{row.pairs_method} : {row.pairs_reference}",
        p_text(row.pairs_p_value),
        f"{row.problems_method} : {row.problems_reference}",
        p_text(row.problems_p_value),
    ]
