"""Simultaneous intervals against closed forms: one column, independent columns, equal columns, gaps."""

import numpy as np
import pytest
from scipy import stats

from resgan.report import bands as b


def orthogonal(rows: int, columns: int) -> np.ndarray:
    """Make uncorrelated columns of mean 0 and unequal sizes."""
    q = np.linalg.qr(np.column_stack([np.ones(rows), np.random.default_rng(0).normal(size=(rows, columns))]))[0]
    return q[:, 1:] * np.arange(1, columns + 1)


def test_one_column_is_students_interval():
    x = np.random.default_rng(0).normal(1, 2, (8, 1))
    mean, low, high = b.bands(x)
    expected = stats.ttest_1samp(x[:, 0], 0).confidence_interval(0.95)
    assert (mean[0], low[0], high[0]) == pytest.approx((x.mean(), expected.low, expected.high), rel=1e-12)


@pytest.mark.parametrize("two_sided", [True, False])
@pytest.mark.parametrize("columns", [2, 5])
def test_independent_columns_share_the_level_as_sidak_has_it(columns, two_sided):
    """All K independent intervals cover where (1 - u)^K = .95. From draws: the joint level is known to 4 x .0034."""
    found = b.critical_values(orthogonal(12, columns), two_sided=two_sided)
    share = stats.t.sf(found, 11) * (2 if two_sided else 1)
    assert np.ptp(found) == 0
    assert (1 - share[0]) ** columns == pytest.approx(0.95, abs=0.014)


def test_equal_columns_cost_nothing():
    """The same column three times is covered as one: t is the same each time."""
    x = np.random.default_rng(1).normal(size=(10, 1)) * [1.0, 1.0, -5.0]
    assert stats.t.sf(b.critical_values(x, two_sided=True)[0], 9) * 2 == pytest.approx(0.05, abs=0.014)


def test_a_gap_widens_its_column_and_hardly_the_others():
    x = orthogonal(8, 3)
    whole = b.critical_values(x, two_sided=True)
    x[:4, 2] = np.nan
    found = b.critical_values(x, two_sided=True)
    assert found[2] > 1.5 * whole[2]  # 3 degrees of freedom, not 7
    assert found[:2] == pytest.approx(whole[:2], rel=0.03)
    mean, error = b.summarised(x)
    assert mean[2] == pytest.approx(x[4:, 2].mean())
    assert error[2] == pytest.approx(stats.sem(x[4:, 2]))


def test_a_column_of_half_the_replicates_is_no_copy_of_the_whole():
    """Equal values where both have them, but two means: this costs more than one column, less than two independent."""
    x = np.random.default_rng(4).normal(size=(12, 1)) * [1.0, 1.0]
    x[:6, 1] = np.nan
    share = 2 * stats.t.sf(b.critical_values(x, two_sided=True), [11, 5])
    assert share[0] == pytest.approx(share[1])
    assert 1 - 0.95**0.5 < share[0] < 0.04


def test_columns_without_spread_or_without_replicates():
    x = np.column_stack([np.full(6, 0.1), np.random.default_rng(2).normal(size=6), [1.0, *[np.nan] * 5]])
    mean, low, high = b.bands(x)
    assert low[0] == mean[0] == high[0] == pytest.approx(0.1)
    assert low[1] < mean[1] < high[1]
    assert np.isnan([low[2], high[2]]).all()
    assert mean[2] == 1
