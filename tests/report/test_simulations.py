"""Promises of the verdicts, by simulation: levels without effects and coverage of intervals, also where runs diverge.

Tolerances are 4 standard errors of the simulated rate. Tests that draw bands are slow: `pytest -m slow`.
"""

import math

import numpy as np
import pytest
from scipy import stats

from resgan.report import families as fam
from resgan.report.bands import bands, summarised
from resgan.report.best import compare_with_best
from resgan.report.effects import LEVEL, contrasts, t_interval
from resgan.report.panels import FLOOR, mean_of_seen

FIVE = np.array([1.0, 2, 4, 8, 16])
SEEDS = 3  # fresh seeds of a replicate
STUDIES = 800  # in a slow test


def error(rate: float, studies: int) -> float:
    return 4 * math.sqrt(rate * (1 - rate) / studies)


def study(rng, *, replicates: int, noise: str = "normal", diverge: float = 0.0, common: float = 0.5) -> np.ndarray:
    """Draw scores (R, L, 2, 2) without effects: a part shared by the arms, and noise by run; mean over finished seeds.

    `diverge`: how often runs with a plain D diverge, at the two deepest depths; runs of a residual D never do.
    """
    size = (SEEDS, replicates, len(FIVE), 2, 2)
    runs = rng.standard_t(3, size) if noise == "heavy" else rng.normal(size=size)
    runs = runs * np.array([[1.0, 0.7], [1.3, 1.0]]) + common * rng.normal(size=(1, replicates, len(FIVE), 1, 1))
    rates = np.zeros((len(FIVE), 2, 2))
    rates[-2:, :, 0] = diverge
    return mean_of_seen(np.where(rng.random(size) < rates, np.nan, runs))


@pytest.mark.parametrize("studies", [500, pytest.param(4000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("given", [{}, {"noise": "heavy"}, {"diverge": 0.5}], ids=str)
def test_the_family_keeps_its_level(given, studies):
    """In 95 % of studies none of three true hypotheses is rejected, also where half the runs with a plain D diverge."""
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(studies):
        _, corrected = fam.p_values(contrasts(study(rng, replicates=8, **given)), FIVE)
        false += min(corrected[name] for name in fam.HOLM_FAMILY) <= LEVEL
    print(false / studies)
    assert false / studies <= 0.05 + error(0.05, studies)


@pytest.mark.parametrize("studies", [500, pytest.param(4000, marks=pytest.mark.slow)])
def test_the_level_where_the_scores_decide_which_depths_are_on_the_curve(studies):
    """A depth is on it where the best arm is valid enough: here two of three, on average.

    Large differences of either sign lift the best arm, so that the choice favours them. The level is above its name by
    less than two points.
    """
    rng, depths = np.random.default_rng(6), np.array([1.0, 4.0, 16.0])
    false = 0
    for _ in range(studies):
        y = rng.normal(size=(8, len(depths), 2, 2)) - 1.4
        kept = (1 / (1 + np.exp(-y))).mean(0).reshape(len(depths), 4).max(1) >= FLOOR
        kept[0] = True  # there is a curve
        _, corrected = fam.p_values(contrasts(y[:, kept]), depths[kept])
        false += min(corrected[name] for name in fam.HOLM_FAMILY) <= LEVEL
    print(false / studies)
    assert false / studies <= 0.07 + error(0.07, studies)


@pytest.mark.slow
@pytest.mark.parametrize("given", [{}, {"diverge": 0.5}], ids=str)
def test_nothing_helps_or_hurts_where_nothing_is(given):
    rng = np.random.default_rng(2)
    false = 0
    for _ in range(STUDIES):
        found = fam.effects(study(rng, replicates=8, **given), FIVE, margin=None)
        names = [*fam.HOLM_FAMILY, *fam.BESIDE["G"], *fam.BESIDE["D"]]
        false += any(at.verdict in ("helps", "hurts") for name in names for at in found[name].at)
    print(false / STUDIES)
    assert false / STUDIES <= 0.05 + error(0.05, STUDIES)


@pytest.mark.slow
@pytest.mark.parametrize(("replicates", "columns"), [(8, 5), (8, 10), (16, 10)])
def test_bands_cover_all_depths_at_once(replicates, columns):
    """Columns of unequal noise that share a part, as depths do."""
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(STUDIES):
        x = rng.normal(size=(replicates, columns)) * np.linspace(0.5, 2, columns) + rng.normal(size=(replicates, 1))
        _, low, high = bands(x)
        covered += bool(((low <= 0) & (high >= 0)).all())
    print(covered / STUDIES)
    assert covered / STUDIES >= 0.93 - error(0.95, STUDIES)


@pytest.mark.slow
@pytest.mark.parametrize("means", [(0, 0, 0, 0), (0, 0.3, 0.5, 0.5), (0, 0, 0, 1.5)], ids=str)
def test_the_best_arm_is_among_those_that_may_be(means):
    """Arms of unequal noise, paired by replicate: in 95 % or more the best arm is kept, and all intervals hold."""
    rng = np.random.default_rng(4)
    means = np.array(means)
    true = np.array([means[i] - np.delete(means, i).max() for i in range(4)])
    best = int(means.argmax())
    kept = held = 0
    for _ in range(STUDIES):
        y = means + rng.normal(size=(8, 4)) * np.array([1.0, 0.6, 1.0, 1.4]) + rng.normal(size=(8, 1))
        found = compare_with_best(y)
        kept += found[best].may_be_best
        held += all(arm.interval[0] <= t <= arm.interval[1] for arm, t in zip(found, true, strict=True))
    print(kept / STUDIES, held / STUDIES)
    assert kept / STUDIES >= 0.95 - error(0.95, STUDIES)
    assert held / STUDIES >= 0.95 - error(0.95, STUDIES)


# Tuning.


def searched(rng, studies: int, replicates: int, *, inside: bool) -> np.ndarray:
    """Draw scores (studies, R, 2) of two arms, whose best candidate is searched for with the noise of single runs.

    There are sixteen candidates of unequal value, another list in each replicate, the same in both arms; the arms
    differ in which are best. inside: each replicate searches. Otherwise all use the choice of the first replicate.
    """
    lists = rng.normal(size=(studies, replicates, 1, 16))
    value = 0.5 * lists + 0.5 * rng.normal(size=(studies, replicates, 2, 16))  # of a candidate, in an arm
    if not inside:
        value = np.broadcast_to(value[:, :1], value.shape)
    search = value + rng.normal(size=value.shape)
    chosen = (search if inside else search[:, :1].repeat(replicates, 1)).argmax(-1)
    fresh = np.take_along_axis(value, chosen[..., None], -1)[..., 0]
    return fresh + rng.normal(size=(studies, replicates, 2, SEEDS)).mean(-1)


@pytest.mark.parametrize("replicates", [8, 16])
def test_intervals_cover_with_tuning_inside_the_replicate_and_not_outside(replicates):
    """The true difference is 0 by symmetry. The interval misses the luck of a search shared by all replicates."""
    studies = 4000
    covered = {}
    for inside in (True, False):
        y = searched(np.random.default_rng(replicates), studies, replicates, inside=inside)
        x = y[..., 0] - y[..., 1]
        mean, standard_error = summarised(x[..., None])
        half = stats.t.ppf(0.975, replicates - 1) * standard_error
        assert t_interval(x[0]) == pytest.approx((mean[0, 0] - half[0, 0], mean[0, 0] + half[0, 0]))
        covered[inside] = float((np.abs(mean) <= half).mean())
    print(covered)
    assert covered[True] >= 0.93
    assert covered[True] == pytest.approx(0.95, abs=error(0.95, studies))
    assert covered[False] < 0.9
