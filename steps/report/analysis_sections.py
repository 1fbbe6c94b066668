"""Which numbers of the analyses are put into tables, and how to read them."""

from dataclasses import dataclass, field

from steps.evaluate.analyses.calibration import BRIER, ECE
from steps.evaluate.analyses.length import LONGER, POOLED_CORRELATION, SHORTER
from steps.evaluate.analyses.over_optimisation import GOLD, PROXY
from steps.evaluate.analyses.prefixes import CORRELATION, PAIR_ACCURACY
from steps.evaluate.analyses.token_changes import CHANGE, RELATIVE_CHANGE
from steps.evaluate.analyses.token_changes import CORRELATION as CHANGE_CORRELATION
from steps.evaluate.analyses.wrong_step import AUC
from steps.evaluate.length import CORRELATION as WITHIN_CORRELATION

Column = tuple[str, float | None]  # a metric, and its place on a curve


@dataclass(frozen=True)
class Section:
    """One analysis.

    Attributes:
        compared: the columns whose differences between methods are put into sentences.
        place: how a place on a curve is written.
    """

    title: str
    reading: str
    columns: list[Column]
    compared: list[Column] = field(default_factory=list)
    place: str = ""


def sections(numbers: list[int]) -> list[Section]:
    """Return all analyses.

    Args:
        numbers: the Ns of best-of-N.
    """
    calibration = _scalars(BRIER.metric, ECE.metric)
    length = _scalars(LONGER.metric, SHORTER.metric, WITHIN_CORRELATION, POOLED_CORRELATION.metric)
    changes = _scalars(CHANGE.metric, RELATIVE_CHANGE.metric, CHANGE_CORRELATION.metric)
    wrong_step = _scalars(AUC.metric)
    return [
        Section("Calibration", CALIBRATION, calibration, calibration),
        Section("Length", LENGTH, length, length),
        Section(
            "Over-optimisation",
            OVER_OPTIMISATION,
            [*_curve(PROXY, *numbers), *_curve(GOLD, *numbers)],
            _curve(GOLD, *numbers[-1:]),
            "N = {:g}",
        ),
        Section(
            "Prefixes",
            PREFIXES,
            [*_curve(CORRELATION, 10, 50, 90), *_curve(PAIR_ACCURACY, 10, 50, 90, 100)],
            [*_curve(CORRELATION, 50), *_curve(PAIR_ACCURACY, 50)],
            "{:g}%",
        ),
        Section("First wrong step", WRONG_STEP, wrong_step, wrong_step),
        Section("Token changes", CHANGES, changes, changes),
    ]


def _scalars(*metrics: str) -> list[Column]:
    return [(metric, None) for metric in metrics]


def _curve(metric: str, *places: int) -> list[Column]:
    return [(metric, float(place)) for place in places]


CALIBRATION = """\
p = σ(reward(chosen) - reward(rejected)). Brier score: mean of (1 - p)²; p = 1/2 throughout has
0.25, and lower is better. Expected calibration error: mean distance of accuracy and confidence over
ten bins of confidence; lower is better, but with few pairs it is above zero for a calibrated model
too. n counts pairs.
"""
LENGTH = """\
A model that likes short responses is right more often where the chosen one is the shorter; both
numbers are 0.5 for a coin. Correlations are Pearson's, of reward and number of tokens: within
problems, averaged over them, and pooled over all responses. n counts pairs whose chosen response is
the longer.
"""
OVER_OPTIMISATION = """\
Proxy: how far the reward of the best-of-N pick lies above the problem's mean, in standard
deviations within problems. Gold: how often the pick is right. The same problems, n, at every N;
proxy that rises while gold falls is over-optimisation.
"""
PREFIXES = """\
The reward after so many percent of a response's tokens: its correlation with the final reward
within problems (0 if it says nothing), and how often the chosen prefix has the higher one (0.5). A
model trained at the last token alone was never asked for the others. n counts responses.
"""
WRONG_STEP = """\
AUC: how often the reward at the end of a line before the first wrong step is higher than at the end
of that step, averaged over annotated responses without hints; 0.5 is chance for a reward that does
not drift along a response. n counts responses.
"""
CHANGES = """\
r[t] is the reward at token t. The second column divides by the standard deviation of the final
rewards, so that methods with small rewards do not look smooth. The correlation is with the
generator's probability of token t+1; negative means smaller changes at probable tokens. n counts
tokens.
"""
