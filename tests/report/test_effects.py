"""The statistics against hand-worked values, second implementations and simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from resgan.report import effects as fx

# Three seeds of a 2 x 2 experiment, scores more-is-better: plain, residual D only, residual G only, both.
HAND = np.array([[1, 2, 4, 9], [2, 2, 5, 7], [0, 1, 3, 8]], float).reshape(3, 2, 2)


def test_a_hand_worked_factorial():
    found = fx.effects(HAND)
    # Seed 1: G = ((9 + 4) - (2 + 1)) / 2 = 5, D = ((9 + 2) - (4 + 1)) / 2 = 3, G x D = (9 - 4) - (2 - 1) = 4.
    np.testing.assert_array_equal(found["G"].per_seed, [5, 4, 5])
    np.testing.assert_array_equal(found["D"].per_seed, [3, 1, 3])
    np.testing.assert_array_equal(found["G x D"].per_seed, [4, 2, 4])
    np.testing.assert_array_equal(found["G - D"].per_seed, [2, 3, 2])
    # G: mean 14/3, sd 1/sqrt 3, t_2(0.975) = 4.302653, so 14/3 -+ 4.302653 / 3.
    assert found["G"].mean == pytest.approx(14 / 3, rel=1e-15)
    assert found["G"].interval == pytest.approx((14 / 3 - 4.30265273 / 3, 14 / 3 + 4.30265273 / 3), rel=1e-8)
    assert [found[name].p for name in fx.HOLM_FAMILY] == [0.25, 0.25, 0.25]  # all one-sided: 2 of 8 flips
    assert [found[name].p_holm for name in fx.HOLM_FAMILY] == [0.75, 0.75, 0.75]
    assert fx.smallest_p(3) == 0.25
    assert found["G"].verdict == "inconclusive"  # three seeds can never pass the corrected test


def test_generator_and_discriminator_are_not_mixed_up():
    only_g_helps = np.zeros((3, 2, 2))
    only_g_helps[:, 1, :] = 1
    found = fx.contrasts(only_g_helps)
    assert (found["G"] == 1).all()
    assert (found["D"] == 0).all()
    assert (found["G x D"] == 0).all()
    assert (found["G - D"] == 1).all()


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


def test_one_seed_has_an_effect_and_no_interval():
    found = fx.effects(HAND[:1])["G"]
    assert (found.mean, found.interval, found.p, found.verdict) == (5, None, 1.0, "inconclusive")


@pytest.mark.parametrize("seeds", [1, 4, 7])
def test_sign_flip_against_every_assignment_written_out(seeds):
    x = np.random.default_rng(seeds).normal(0.7, 1, seeds)
    flips = [
        abs(sum(s * v for s, v in zip(signs, x, strict=True))) for signs in itertools.product((1, -1), repeat=seeds)
    ]
    assert fx.sign_flip(x) == np.mean([flip >= abs(x.sum()) - 1e-12 for flip in flips])


def test_sign_flip_ends():
    assert fx.sign_flip(np.ones(8)) == fx.smallest_p(8) == 2 / 256
    assert fx.sign_flip(np.zeros(8)) == 1
    assert fx.sign_flip(-np.ones(8)) == fx.sign_flip(np.ones(8))
    assert fx.smallest_p(3) == 0.25
    assert fx.smallest_p(5) == 0.0625


def test_many_seeds_are_flipped_at_random_and_agree_with_the_t_test():
    x = np.random.default_rng(0).normal(0.3, 1, 40)
    # Both estimate one p; 2^20 draws have a standard error below 5e-4, the normal approximation errs a little more.
    assert fx.sign_flip(x) == pytest.approx(stats.ttest_1samp(x, 0).pvalue, abs=0.01)
    assert fx.sign_flip(x) == fx.sign_flip(x)


def test_holm_by_hand():
    assert fx.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # 3 x .01, then 2 x .03, never falling
    assert fx.holm([0.5, 0.9]) == [1.0, 1.0]


@pytest.mark.parametrize("seeds", [3, 5, 8, 20])
def test_detectable_effect_agrees_with_simulated_power(seeds):
    rng = np.random.default_rng(seeds)
    x = rng.normal(fx.detectable(seeds), 1, (20_000, seeds))
    found = np.abs(x.mean(1)) > stats.t.ppf(0.975, seeds - 1) * x.std(1, ddof=1) / math.sqrt(seeds)
    assert found.mean() == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / 20_000))


def test_one_seed_detects_nothing():
    assert fx.detectable(1) == math.inf


def test_a_diverged_run_takes_the_worst_place_and_stays():
    y = HAND.copy()
    y[1, 0, 0] = np.nan
    assert fx.with_worst(y)[1, 0, 0] == 0  # the worst that was seen
    assert fx.with_worst(y, floor=-7.0)[1, 0, 0] == -7
    assert fx.ranks(y)[1, 0, 0] == 1
    found = fx.effects(y)["G"]
    assert len(found.per_seed) == 3
    assert found.mean > fx.effects(HAND)["G"].mean  # a plain arm that diverges speaks for the switch


def test_ranks_of_diverged_runs_tie():
    y = np.array([[np.nan, 1], [2, np.nan]]).reshape(1, 2, 2)
    np.testing.assert_array_equal(fx.ranks(y).ravel(), [1.5, 3, 4, 1.5])


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


# Simulation.

STUDIES = 4000
EFFECTS = {"G": 0.8, "D": -0.3, "G x D": 0.5}
FLOOR = -6.0  # where a diverged run stands
DIVERGE = {"diverged": np.full((2, 2), 0.1), "lopsided": np.array([[0.3, 0], [0, 0]])}  # how often, by arm


def simulate(kind: str, seeds: int, *, planted: bool) -> tuple[np.ndarray, dict[str, float]]:
    """Blocks (STUDIES, seeds, 2, 2): a part that the arms of a seed share, noise, effects; and the true contrasts."""
    rng = np.random.default_rng([seeds, len(kind), planted])
    size = (STUDIES, seeds, 2, 2)
    g, d = np.array([-0.5, 0.5])[:, None], np.array([-0.5, 0.5])
    means = planted * (EFFECTS["G"] * g + EFFECTS["D"] * d + EFFECTS["G x D"] * g * d)
    noise = rng.standard_t(3, size=size) if kind == "heavy" else rng.normal(size=size)
    y = means + noise + rng.normal(size=(STUDIES, seeds, 1, 1))
    rate = DIVERGE.get(kind, np.zeros((2, 2)))
    y = np.where(rng.random(size) < rate, FLOOR, y)
    true = fx.contrasts(((1 - rate) * means + rate * FLOOR)[None])
    return y, {name: float(true[name][0]) for name in EFFECTS}


def test_the_simulation_plants_what_it_says():
    assert simulate("normal", 3, planted=True)[1] == pytest.approx(EFFECTS)
    y, true = simulate("lopsided", 20, planted=True)
    for name, x in fx.contrasts(y.reshape(-1, 2, 2)).items():
        if name in true:
            assert x.mean() == pytest.approx(true[name], abs=5 * x.std() / math.sqrt(x.size))


@pytest.mark.parametrize("seeds", [3, 5, 8, 20])
@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("normal", 0.95, 0.95), ("heavy", 0.945, 0.975), ("diverged", 0.945, 0.985), ("lopsided", 0.92, 0.955)],
)
def test_intervals_cover_what_was_planted(kind, low, high, seeds):
    """95 % for normal noise, and as good or wider with heavy tails or where all arms diverge alike.

    Where one arm alone diverges, in three runs of ten, the contrasts are skewed, and few seeds may see none of it.
    """
    error = 4 * math.sqrt(0.95 * 0.05 / STUDIES)
    y, true = simulate(kind, seeds, planted=True)
    for name, effect in true.items():
        x = fx.contrasts(y.reshape(-1, 2, 2))[name].reshape(STUDIES, seeds)
        half = stats.t.ppf(0.975, seeds - 1) * x.std(1, ddof=1) / math.sqrt(seeds)
        assert fx.t_interval(x[0]) == pytest.approx((x[0].mean() - half[0], x[0].mean() + half[0]))
        covered = (np.abs(x.mean(1) - effect) <= half).mean()
        assert low - error <= covered <= high + error, (name, covered)


@pytest.mark.parametrize("kind", ["normal", "heavy", "diverged"])
@pytest.mark.parametrize("seeds", [5, 8])
def test_sign_flip_holds_its_level_and_nothing_is_found_where_nothing_is(kind, seeds):
    y = simulate(kind, seeds, planted=False)[0][:800]
    error = 4 * math.sqrt(0.05 * 0.95 / len(y))
    found = [fx.effects(study) for study in y]
    for name in fx.HOLM_FAMILY:
        assert np.mean([study[name].p <= 0.05 for study in found]) <= 0.05 + error
        assert np.mean([study[name].p <= 0.25 for study in found]) == pytest.approx(0.25, abs=0.05 + error)
    assert np.mean([any(study[n].verdict != "inconclusive" for n in fx.HOLM_FAMILY) for study in found]) <= 0.05 + error


def test_a_large_planted_effect_is_found_with_its_sign():
    y = simulate("normal", 20, planted=False)[0][:100, :12]
    y[:, :, 1, :] += 3
    verdicts = [fx.effects(study) for study in y]
    assert np.mean([study["G"].verdict == "positive" for study in verdicts]) > 0.99
    flipped = [fx.effects(-study)["G"].verdict for study in y]
    assert np.mean([verdict == "negative" for verdict in flipped]) > 0.99
