"""The comparisons of speed run, compare equal things, and count what they say; no time is asserted."""

import numpy as np
import pytest

from benchmarks.__main__ import CPU
from benchmarks.orchestration import dry_run, quickstart_overhead
from benchmarks.rows import Row
from benchmarks.scoring_pairs import against_rewardbench
from benchmarks.setting import Setting, small_setting
from benchmarks.timing import check_equal
from steps.errors import UserError

SLOW = {dry_run, quickstart_overhead, against_rewardbench}  # others' programs: below


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory):
    with small_setting(tmp_path_factory.mktemp("benchmarks")) as made:
        yield made


def check_row(row: Row) -> None:
    assert row.n == 1 and row.share_of_peak > 0 and "tiny" not in row.name
    assert np.isfinite([row.ours, row.peer, row.ratio]).all()
    assert row.ratio == pytest.approx(row.ours / row.peer)


@pytest.mark.parametrize("comparison", [c for c in CPU if c not in SLOW], ids=lambda c: c.__name__)
def test_both_sides_compute_the_same(comparison, setting: Setting) -> None:
    """Each comparison checks that before it times them; see the next tests for what it refuses."""
    check_row(comparison(setting))


@pytest.mark.parametrize(
    ("values", "what"),
    [([1.0, 2.0001], "differ by"), ([1.0, np.nan], "differ by nan"), ([1.0], "values")],
)
def test_other_values_are_refused(values, what) -> None:
    check_equal("same", [1.0, 2.0], [1.0, 2.000001])
    with pytest.raises(UserError, match=what):
        check_equal("other", values, [1.0, 2.0])
