"""Equivalence and training time against scipy and straight lines."""

import math

import numpy as np
import pytest
from scipy import stats

from resgan.report.equivalence import MARGINS, gain, images_for, p_within


def test_two_one_sided_tests_agree_with_scipy():
    for seed in range(5):
        x = np.random.default_rng(seed).normal(0.1, 0.4, 8)
        low = stats.ttest_1samp(x, -0.4, alternative="greater").pvalue
        high = stats.ttest_1samp(x, 0.4, alternative="less").pvalue
        assert p_within(x, margin=0.4) == pytest.approx(max(low, high), rel=1e-12)
        assert p_within(-x, margin=0.4) == pytest.approx(p_within(x, margin=0.4), rel=1e-12)


def test_ends():
    assert p_within(np.array([0.1]), margin=1) is None
    assert p_within(np.full(3, 0.1), margin=0.2) == 0
    assert p_within(np.full(3, 0.1), margin=0.05) == 1
    assert MARGINS["share"] == pytest.approx(0.405, abs=0.001)


@pytest.mark.parametrize("mean", [0.4, -0.4])
def test_an_effect_at_the_margin_is_called_within_it_at_the_level(mean):
    """2,000 studies of 8 replicates with an effect of exactly the margin: 5 %, known to 4 x .0049."""
    x = np.random.default_rng(0).normal(mean, 0.15, (2000, 8))
    assert np.mean([p_within(row, margin=0.4) <= 0.05 for row in x]) == pytest.approx(0.05, abs=0.02)


def line(slope: float, noise: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    images = np.array([1e3, 2e3, 4e3, 6e3, 8e3])
    return images, slope * np.log(images) + noise * np.random.default_rng(seed).normal(size=5)


def test_a_gain_is_the_slope_over_log_images_of_the_later_part():
    images, y = line(0.7)
    y[0] += 5  # before the first quarter
    assert gain([[(images, y)], [line(0.9)]] * 4) == pytest.approx(0.8)
    assert gain([[(images, y), line(0.9)], [line(0.8)]] * 4) == pytest.approx(0.8)  # two runs of one replicate


def test_a_gain_that_cannot_be_told():
    images, y = line(0.7)
    assert gain([]) is None
    assert gain([[(images, y)]]) is None  # one replicate
    assert gain([[(images[-2:], y[-2:])]] * 4) is None  # two points
    assert gain([[line(s)] for s in (0.5, -0.6, 0.1, 0.2)]) is None  # not clearly rising
    assert gain([[line(-0.5)]] * 4) is None


def test_images_for_an_effect():
    """At a gain of log 2 per e-fold, an effect of log 2 costs e times the images; none costs none."""
    assert images_for(math.log(2), gain=math.log(2)) == pytest.approx(math.e)
    assert images_for(0, gain=1) == 1
    assert images_for(-1, gain=1) == pytest.approx(1 / math.e)
    assert math.isfinite(images_for(1e9, gain=1e-9))
