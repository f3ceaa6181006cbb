"""The primary family and its verdicts, by hand and by second implementations."""

import itertools
import math

import numpy as np
import pytest

from resgan.report import effects as fx
from resgan.report import families as fam

# Three replicates at one depth, more is better: plain, residual D only, residual G only, both.
HAND = np.array([[1, 2, 4, 9], [2, 2, 5, 7], [0, 1, 3, 8]], float).reshape(3, 1, 2, 2)
FIVE = np.array([1.0, 2, 4, 8, 16])


def test_a_hand_worked_factorial_of_one_depth():
    found = fam.effects(HAND, np.array([4.0]), margin=0.4)
    # G is 5, 4, 5: mean 14/3, sd 1/sqrt 3, t_2(0.975) = 4.302653, so 14/3 -+ 4.302653 / 3.
    g = found["G"].deepest
    assert g.mean == pytest.approx(14 / 3, rel=1e-15)
    assert g.interval == pytest.approx((14 / 3 - 4.30265273 / 3, 14 / 3 + 4.30265273 / 3), rel=1e-8)
    assert [found[name].p for name in fam.HOLM_FAMILY] == [0.25, 0.25, 0.25]  # all one-sided: 2 of 8 flips
    assert [found[name].p_holm for name in fam.HOLM_FAMILY] == [0.75, 0.75, 0.75]
    assert found["G"].slope is None
    assert g.verdict == "not told apart"  # three replicates can never pass the corrected test


def test_a_single_replicate_has_effects_without_intervals():
    found = fam.effects(HAND[:1], np.array([4.0]), margin=0.4)["G"]
    at = found.deepest
    assert (at.mean, at.interval, at.p_within, found.p, at.verdict) == (5, None, None, 1.0, "not told apart")


def test_slopes_agree_with_polyfit_and_take_what_a_replicate_has():
    x = np.random.default_rng(0).normal(size=(4, 5))
    x[1, 2] = x[2, :3] = np.nan
    x[3, 1:] = np.nan
    expected = [np.polyfit(np.log2(FIVE)[np.isfinite(row)], row[np.isfinite(row)], 1)[0] for row in x[:3]]
    np.testing.assert_allclose(fam.slopes(x, FIVE)[:3], expected, rtol=1e-12)
    assert np.isnan(fam.slopes(x, FIVE)[3])  # one depth has no slope


def test_the_joint_test_against_every_assignment_written_out():
    """Depths of a replicate flip together; the larger of slope and deepest effect, each over its root of squares."""
    y = np.random.default_rng(3).normal(size=(6, 3, 2, 2)) + np.array([0.0, 0.5, 1.5])[:, None, None] * [[0], [1]]
    depths = np.array([1.0, 4, 16])
    g = fx.contrasts(y)["G"]

    def statistic(x) -> float:
        slope = [np.polyfit(np.log2(depths), row, 1)[0] for row in x]
        return max(abs(sum(v)) / math.sqrt(sum(w * w for w in v)) for v in (slope, x[:, -1]))

    flips = [statistic(g * np.array(signs)[:, None]) for signs in itertools.product((1, -1), repeat=6)]
    expected = np.mean([flip >= statistic(g) - 1e-9 for flip in flips])
    assert fam.effects(y, depths, margin=None)["G"].p == pytest.approx(expected, abs=1e-12)


def planted(shape: np.ndarray, *, replicates: int = 8, noise: float = 0.2, seed: int = 0) -> np.ndarray:
    """Make scores in which residual blocks in G give `shape` (L,) at the depths, beside either D."""
    y = noise * np.random.default_rng(seed).normal(size=(replicates, len(shape), 2, 2))
    y[:, :, 1, :] += shape[:, None]
    return y


def test_an_effect_that_grows_is_found_at_the_depths_that_have_it():
    found = fam.effects(planted(np.array([0, 0, 0.1, 1.0, 2.0])), FIVE, margin=math.log(1.5))
    assert [at.verdict for at in found["G"].at][3:] == ["helps", "helps"]
    assert found["G"].at[0].verdict == "within the margin"
    assert found["G"].p_holm == pytest.approx(3 * 2 / 256)
    # Least squares over log2 depth 0 ... 4: (-2 x 0 - 0 + 0 + 1 + 2 x 2) / 10 = .5; 5 standard errors are .11.
    assert found["G"].slope.mean == pytest.approx(0.5, abs=0.12)
    assert found["D"].deepest.verdict in ("within the margin", "not told apart")
    mirrored = fam.effects(-planted(np.array([0, 0, 0.1, 1.0, 2.0])), FIVE, margin=math.log(1.5))
    assert mirrored["G"].deepest.verdict == "hurts"
    assert mirrored["G"].deepest.interval == pytest.approx([-end for end in found["G"].deepest.interval[::-1]])


def test_simple_effects_of_opposite_sign_are_told_apart():
    """G helps beside a plain D and hurts beside a residual one: no main effect, an interaction, two verdicts."""
    y = 0.2 * np.random.default_rng(1).normal(size=(8, 1, 2, 2))
    y[:, :, 1, 0] += 1
    y[:, :, 1, 1] -= 1
    found = fam.effects(y, np.array([4.0]), margin=math.log(1.5))
    assert found["G"].p_holm > 0.05
    assert found["G x D"].deepest.verdict == "hurts"
    assert found["G, plain D"].deepest.verdict == "helps"
    assert found["G, residual D"].deepest.verdict == "hurts"


def test_a_replicate_that_lacks_a_depth_counts_at_the_others():
    y = planted(np.array([1.0, 1.0, 1.0]))
    y[0, 2, 0, 0] = np.nan
    found = fam.effects(y, np.array([1.0, 4, 16]), margin=None)
    assert [at.replicates for at in found["G"].at] == [8, 8, 7]
    assert [at.replicates for at in found["G, residual D"].at] == [8, 8, 8]
    assert found["G"].at[2].mean == pytest.approx(fx.contrasts(y[1:])["G"][:, 2].mean())


@pytest.mark.parametrize(
    ("mean", "interval", "p_within", "found", "verdict"),
    [
        (1.0, (0.5, 1.5), 1.0, True, "helps"),
        (-1.0, (-1.5, -0.5), 1.0, True, "hurts"),
        (1.0, (0.5, 1.5), 1.0, False, "not told apart"),  # the corrected test does not find it
        (1.0, (-0.1, 2.1), 1.0, True, "not told apart"),  # found on the curve, but not at this depth
        (0.2, (0.1, 0.3), 0.001, True, "within the margin"),  # found, but too small to matter
        (0.0, (-0.1, 0.1), 0.05, False, "within the margin"),
        (0.0, (-0.1, 0.1), 0.051, False, "not told apart"),
        (0.0, (-0.1, 0.1), None, False, "not told apart"),  # no margin is defined
    ],
)
def test_verdicts(mean, interval, p_within, found, verdict):
    given = fam.Estimate(mean=mean, interval=interval, p_within=p_within, replicates=8, found=found)
    assert given.verdict == verdict
