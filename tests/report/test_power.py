"""The promised power is delivered: in independent studies, by the code that makes the verdicts."""

import math

import numpy as np
import pytest

from resgan.report import families as fam
from resgan.report.conditions import differences, pairs_of
from resgan.report.effects import LEVEL, contrasts, max_flip
from resgan.report.power import SHAPES, detectable, detectable_in_list, holm_limit, power

FIVE = (1.0, 2.0, 4.0, 8.0, 16.0)


def delivered(effect: float, *, replicates: int, depths: tuple[float, ...], shape: str, studies: int) -> float:
    """Return how often the family finds an effect of the switch in G among runs of sd 1, with its sign."""
    rng = np.random.default_rng(99)
    size = SHAPES[shape](np.array(depths))
    found = 0
    for _ in range(studies):
        y = rng.normal(size=(replicates, len(depths), 2, 2))
        y[:, :, 1, :] += effect * size[:, None]
        by_name = contrasts(y)
        _, corrected = fam.p_values(by_name, np.array(depths))
        found += corrected["G"] <= LEVEL and by_name["G"][:, -1].mean() > 0
    return found / studies


@pytest.mark.parametrize(
    ("replicates", "depths", "studies"),
    [
        (8, (2.0,), 400),
        (8, FIVE, 400),
        pytest.param(8, FIVE, 4000, marks=pytest.mark.slow),
        pytest.param(16, (1.0, 4.0, 16.0), 1000, marks=pytest.mark.slow),
    ],
)
def test_promised_power_is_delivered(replicates, depths, studies):
    """To 4 standard errors of the difference of two simulations: 2,000 promising studies, and the delivering ones."""
    error = 4 * math.sqrt(0.16 / 2000 + 0.16 / studies)
    for shape in SHAPES if len(depths) > 1 else ["alike at every depth"]:
        effect = detectable(replicates=replicates, depths=depths, shape=shape)
        assert power(effect, replicates=replicates, depths=depths, shape=shape) >= 0.8
        assert power(effect - 0.01, replicates=replicates, depths=depths, shape=shape) < 0.8
        found = delivered(effect, replicates=replicates, depths=depths, shape=shape, studies=studies)
        print(replicates, len(depths), shape, effect, found)
        assert found == pytest.approx(0.8, abs=error), shape


def test_without_an_effect_the_power_is_half_the_level_at_most():
    """One side of .05, which Holm divides by 3 where nothing else is found; to 4 standard errors of 2,000 studies."""
    assert power(0, replicates=8, depths=FIVE, shape="alike at every depth") <= 0.025 + 4 * math.sqrt(0.025 / 2000)


def test_power_grows_with_the_effect_and_with_replicates():
    at = [power(e, replicates=8, depths=FIVE, shape="growing with log2 depth") for e in (0, 1, 2, 4)]
    assert at == sorted(at)
    assert at[-1] > 0.99
    assert detectable(replicates=12, depths=FIVE, shape="at the last depth only") < detectable(
        replicates=8, depths=FIVE, shape="at the last depth only"
    )


def test_few_replicates_find_nothing_however_large():
    assert detectable(replicates=6, depths=(2.0,), shape="alike at every depth") == math.inf  # 3 x 2 / 2^6 > .05
    assert detectable(replicates=7, depths=(2.0,), shape="alike at every depth") < 8


@pytest.mark.parametrize(
    ("others", "limit"), [((0.5, 0.9), 0.05 / 3), ((0.01, 0.9), 0.025), ((0.02, 0.01), 0.05), ((0.02, 0.02), 0.05 / 3)]
)
def test_the_limit_that_holm_leaves(others, limit):
    assert holm_limit(np.array(others)[:, None]) == pytest.approx(limit)


def test_the_promised_power_of_a_list_is_delivered():
    """To 4 standard errors of the difference of two simulations of 500 studies."""
    size, rng = detectable_in_list(replicates=8, conditions=10), np.random.default_rng(7)
    found = 0
    for _ in range(500):
        y = rng.normal(size=(8, 10))
        y[:, 4] += size
        x = differences(y)
        p = max_flip(x)[pairs_of(10).index((4, 0))]
        found += p <= LEVEL and (y[:, 4] - y[:, 0]).mean() > 0
    assert found / 500 == pytest.approx(0.8, abs=4 * math.sqrt(2 * 0.16 / 500))
    assert detectable_in_list(replicates=5, conditions=10) == math.inf  # the smallest p is .0625
    assert detectable_in_list(replicates=12, conditions=10) < size < detectable_in_list(replicates=8, conditions=20)
