"""The statistics against hand-worked values, second implementations and simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from resgan.report import effects as fx

# Three seeds of a 2 x 2 experiment, scores more-is-better: plain, residual D only, residual G only, both.
HAND = np.array([[1, 2, 4, 9], [2, 2, 5, 7], [0, 1, 3, 8]], float).reshape(3, 2, 2)


def test_contrasts_by_hand():
    found = fx.contrasts(HAND)
    # Seed 1: G = ((9 + 4) - (2 + 1)) / 2 = 5, D = ((9 + 2) - (4 + 1)) / 2 = 3, G x D = (9 - 4) - (2 - 1) = 4.
    np.testing.assert_array_equal(found["G"], [5, 4, 5])
    np.testing.assert_array_equal(found["D"], [3, 1, 3])
    np.testing.assert_array_equal(found["G x D"], [4, 2, 4])
    np.testing.assert_array_equal(found["G - D"], [2, 3, 2])
    np.testing.assert_array_equal(found["G, plain D"], [3, 3, 3])
    np.testing.assert_array_equal(found["G, residual D"], [7, 5, 7])
    np.testing.assert_array_equal(found["D, plain G"], [1, 0, 1])
    np.testing.assert_array_equal(found["D, residual G"], [5, 2, 5])


def test_generator_and_discriminator_are_not_mixed_up():
    only_g_helps = np.zeros((3, 2, 2))
    only_g_helps[:, 1, :] = 1
    found = fx.contrasts(only_g_helps)
    for name in ("G", "G - D", "G, plain D", "G, residual D"):
        assert (found[name] == 1).all(), name
    for name in ("D", "G x D", "D, plain G", "D, residual G"):
        assert (found[name] == 0).all(), name


def test_transformed_scores_point_upwards():
    share = fx.transformed(np.array([0.2, 0.5, 0.8]), scale="share", samples=100, low_is_good=True)
    np.testing.assert_allclose(share, [math.log(4), 0, -math.log(4)], atol=1e-15)
    ends = fx.transformed(np.array([0.0, 1.0]), scale="share", samples=100, low_is_good=False)
    np.testing.assert_allclose(ends, [-math.log(199), math.log(199)], rtol=1e-12)  # 0.005 / 0.995
    distance = fx.transformed(np.array([1.0, math.e]), scale="distance", samples=0, low_is_good=True)
    np.testing.assert_allclose(distance, [0, -1], atol=1e-15)
    assert fx.transformed(np.array([3.0]), scale="plain", samples=0, low_is_good=False)[0] == 3


@pytest.mark.parametrize("seeds", [2, 3, 5, 8, 20])
def test_t_interval_agrees_with_scipy(seeds):
    x = np.random.default_rng(seeds).normal(1, 2, seeds)
    expected = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert fx.t_interval(x) == pytest.approx((expected.low, expected.high), rel=1e-12)


@pytest.mark.parametrize("seeds", [1, 4, 7])
def test_sign_flip_against_every_assignment_written_out(seeds):
    x = np.random.default_rng(seeds).normal(0.7, 1, seeds)
    flips = [
        abs(sum(s * v for s, v in zip(signs, x, strict=True))) for signs in itertools.product((1, -1), repeat=seeds)
    ]
    assert fx.sign_flip(x) == np.mean([flip >= abs(x.sum()) - 1e-12 for flip in flips])


@pytest.mark.parametrize("seeds", [2, 6])
def test_joint_flips_against_every_assignment_written_out(seeds):
    """Two columns of unequal size, one with a gap: the larger of both, each over the root of its sum of squares."""
    x = np.random.default_rng(seeds).normal(0.7, 1, (seeds, 2)) * [1, 50]
    x[1, 1] = np.nan
    known = np.nan_to_num(x)

    def statistic(signs) -> float:
        flipped = known * np.array(signs)[:, None]
        return max(abs(flipped[:, k].sum()) / math.sqrt((known[:, k] ** 2).sum()) for k in (0, 1))

    seen = statistic([1] * seeds)
    flips = [statistic(signs) for signs in itertools.product((1, -1), repeat=seeds)]
    assert fx.sign_flip(x) == np.mean([flip >= seen - 1e-12 for flip in flips])


def test_joint_flips_do_not_depend_on_units():
    x = np.random.default_rng(0).normal(0.5, 1, (7, 2))
    assert fx.sign_flip(x) == fx.sign_flip(x * [1e-6, 1e6]) == fx.sign_flip(-x)


def test_sign_flip_ends():
    assert fx.sign_flip(np.ones(8)) == fx.smallest_p(8) == 2 / 256
    assert fx.sign_flip(np.zeros(8)) == 1
    assert fx.sign_flip(-np.ones(8)) == fx.sign_flip(np.ones(8))
    assert fx.smallest_p(3) == 0.25
    assert fx.smallest_p(5) == 0.0625


def test_many_seeds_are_flipped_at_random_and_agree_with_the_t_test():
    x = np.random.default_rng(0).normal(0.3, 1, 40)
    # Both estimate one p; 2^17 draws have a standard error below .0014, the normal approximation errs a little more.
    assert fx.sign_flip(x) == pytest.approx(stats.ttest_1samp(x, 0).pvalue, abs=0.01)
    assert fx.sign_flip(x) == fx.sign_flip(x)


def test_holm_by_hand():
    assert fx.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # 3 x .01, then 2 x .03, never falling
    assert fx.holm([0.5, 0.9]) == [1.0, 1.0]


def test_a_diverged_run_takes_the_worst_place_and_stays():
    y = HAND.copy()
    y[1, 0, 0] = np.nan
    assert fx.with_worst(y)[1, 0, 0] == 0  # the worst that was seen
    assert fx.with_worst(y, floor=-7.0)[1, 0, 0] == -7


def test_wilson_interval():
    # (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n) at 0 of 10: 0 to z^2 / (10 + z^2).
    z2 = stats.norm.ppf(0.975) ** 2
    assert fx.wilson(0, 10) == pytest.approx((0, z2 / (10 + z2)), abs=1e-12)


def test_correlation_of_paired_arms():
    shared = np.random.default_rng(0).normal(size=50)
    assert fx.pair_correlation(np.repeat(shared, 4).reshape(50, 2, 2)) == pytest.approx(1)
    independent = np.random.default_rng(1).normal(size=(2000, 2, 2))
    assert fx.pair_correlation(independent) == pytest.approx(0, abs=5 / math.sqrt(6 * 2000))
    assert fx.pair_correlation(HAND[:2]) is None


def test_area_under_a_curve():
    assert fx.area_under(np.array([0, 10, 30]), np.array([1.0, 0.0, 0.0])) == pytest.approx(5 / 30)
    assert fx.area_under(np.array([7]), np.array([0.4])) == 0.4


@pytest.mark.parametrize("studies", [300, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("replicates", "common", "most"), [(1, 0.0, 0.05), (8, 0.0, 0.05), (8, 1.0, 0.05), (2, 1.0, 0.12), (1, 1.0, 0.18)]
)
def test_arms_that_gained_nothing_seldom_pass_for_more(replicates, common, most, studies):
    """In 5 % of studies or less; below three replicates only where the arms of one do not share their noise."""
    rng = np.random.default_rng(replicates)
    noise = rng.normal(size=(studies, 4, replicates)) + common * rng.normal(size=(studies, 1, replicates))
    passed = np.mean([fx.improved(list(gains), margin=0.4) for gains in noise])
    print(passed)
    assert passed <= most + 4 * (most * (1 - most) / studies) ** 0.5
    assert np.mean([fx.improved(list(gains + 8), margin=0.4) for gains in noise]) > 0.9


def test_a_gain_alone_has_to_exceed_the_margin():
    alone = [np.array([0.3])]
    assert fx.improved(alone, margin=0.2)
    assert not fx.improved(alone, margin=0.4)
