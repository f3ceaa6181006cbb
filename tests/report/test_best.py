"""Hsu's comparison with the best, by hand and against Dunnett's distribution. Coverage: test_simulations.py."""

import numpy as np
import pytest
from scipy import stats

from resgan.report.bands import critical_values
from resgan.report.best import compare_with_best


def test_a_clear_winner():
    """Differences between arms without noise: the intervals are the differences themselves."""
    y = np.array([0.0, 1.0, 4.0, 2.0]) + np.arange(5.0)[:, None]
    found = compare_with_best(y)
    assert [arm.may_be_best for arm in found] == [False, False, True, False]
    assert [arm.mean for arm in found] == [-4, -3, 2, -2]
    assert [arm.interval for arm in found] == [(-4, 0), (-3, 0), (0, 2), (-2, 0)]  # constrained to contain 0


def test_arms_that_are_equal_may_all_be_the_best():
    y = np.random.default_rng(0).normal(size=(6, 1)) + np.zeros((1, 4))
    assert all(arm.may_be_best and arm.interval == (0, 0) for arm in compare_with_best(y))


def test_two_arms_by_hand():
    """Differences 1, 2, 3: mean 2, standard error 1 / sqrt 3, t_2(.95) = 2.919986: 2 -+ 1.685854."""
    y = np.array([[1.0, 0], [2, 0], [3, 0]])
    first, second = compare_with_best(y)
    assert (first.may_be_best, second.may_be_best) == (True, False)
    assert first.interval == pytest.approx((0, 3.685854), rel=1e-6)
    assert second.interval == pytest.approx((-3.685854, 0), rel=1e-6)


def test_the_critical_value_is_dunnetts():
    """Three arms against a control of equal noise: correlations of .5. The level is known to 4 x .0034."""
    noise = np.random.default_rng(0).normal(size=(60, 5))
    arms = np.linalg.qr(np.column_stack([np.ones(60), noise]))[0][:, 1:5]  # without correlation
    [found, *_] = critical_values(arms[:, [0]] - arms[:, 1:], two_sided=False)
    dunnett = stats.multivariate_t(shape=0.5 + 0.5 * np.eye(3), df=59, seed=0)
    assert dunnett.cdf(np.full(3, found)) == pytest.approx(0.95, abs=0.014)


def test_replicates_without_an_arm_do_not_count_and_one_says_nothing():
    y = np.random.default_rng(3).normal(size=(6, 4))
    gap = np.vstack([y, [np.nan, 100, 100, 100]])
    assert compare_with_best(gap) == compare_with_best(y)
    assert compare_with_best(y[:1]) == []
