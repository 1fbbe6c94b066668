"""McNemar's exact test of pair accuracy between two trained methods.

The test compares two methods on the same items, of which each is won or lost: under the null
hypothesis an item that only one of them wins is as often the one's as the other's. Two things
about our items have to be decided.

- Seeds: a method wins a pair if more than half of its runs do.
- Pairs of one problem share responses and are not independent, so the test over pairs gives a
  p-value that is too small. The second test therefore takes the problem as its item: it goes to the
  method that wins more of its pairs, and is left out where both win equally many (the sign test).
  It ignores by how much; the bootstrap over problems, which does not, stays the main test.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from statsmodels.stats.contingency_tables import mcnemar

from steps.config import Experiment
from steps.evaluate.collect import POOLED
from steps.evaluate.load import EvaluationSet
from steps.evaluate.pair_accuracy import strict_wins

ITEMS = ("pairs", "problems")
MCNEMAR_COLUMNS = [
    *("method", "reference", "eval_set"),
    *(f"{items}_{part}" for items in ITEMS for part in ("method", "reference", "p_value")),
]


def exact_p_value(only_method: int, only_reference: int) -> float:
    """Return the two-sided p-value of the items that only one of two methods wins.

    Those that both win or both lose do not enter.
    """
    return float(mcnemar([[0, only_method], [only_reference, 0]], exact=True).pvalue)


def mcnemar_table(experiment: Experiment, sets: list[EvaluationSet]) -> pd.DataFrame:
    """Test every two trained methods on every set with pairs, and on all of these together.

    Returns:
        Columns `MCNEMAR_COLUMNS`: the pairs (problems) that only the method wins, those that only
        the reference wins, and the p-value. The reference is the earlier of the two.
    """
    wins = {each.name: _majority_wins(experiment, each) for each in sets if each.compares}
    if len(wins) > 1:
        wins[POOLED] = pd.concat(wins.values())
    rows = [
        (method, reference, eval_set, *_test(table[method], table[reference]))
        for eval_set, table in wins.items()
        for reference, method in combinations(experiment.methods, 2)
    ]
    return pd.DataFrame(rows, columns=MCNEMAR_COLUMNS)


def _majority_wins(experiment: Experiment, eval_set: EvaluationSet) -> pd.DataFrame:
    """Whether each method wins each pair; a row per pair, indexed by its problem."""
    wins = {
        method: np.mean(
            [
                strict_wins(eval_set, eval_set.rewards(method, seed))
                for seed in experiment.seeds_of(method)
            ],
            axis=0,
        )
        > 0.5
        for method in experiment.methods
    }
    return pd.DataFrame(wins, index=eval_set.pairs["group_id"].to_numpy(object))


def _test(method: pd.Series, reference: pd.Series) -> Sequence[float]:
    gaps = method.astype(int) - reference.astype(int)
    found: list[float] = []
    for item_gaps in (gaps, gaps.groupby(level=0).sum()):
        won, lost = int((item_gaps > 0).sum()), int((item_gaps < 0).sum())
        found += [won, lost, exact_p_value(won, lost)]
    return found
