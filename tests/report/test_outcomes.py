"""Exact, stratified test against Fisher's test, and against every deal written out."""

import itertools

import numpy as np
import pytest
from scipy import stats

from resgan.report.outcomes import stratified_p, sums_of_choices


def stratum(on: list[int], off: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(on), np.array(off)


def events(number: int, runs: int) -> list[int]:
    return [1] * number + [0] * (runs - number)


@pytest.mark.parametrize(("on", "off"), [(5, 0), (4, 0), (3, 1), (8, 2), (0, 0)])
def test_one_stratum_is_fishers_test(on, off):
    expected = stats.fisher_exact([[on, 8 - on], [off, 8 - off]]).pvalue
    assert stratified_p([stratum(events(on, 8), events(off, 8))]) == pytest.approx(expected, rel=1e-9)


def test_at_eight_against_eight_five_show_and_four_do_not():
    assert stratified_p([stratum(events(5, 8), events(0, 8))]) < 0.05
    assert stratified_p([stratum(events(4, 8), events(0, 8))]) > 0.05


def test_events_pool_over_depths():
    """Three events against none are not significant at one depth, but are at three."""
    one = stratum(events(3, 8), events(0, 8))
    assert stratified_p([one]) > 0.05
    assert stratified_p([one] * 3) < 0.01
    assert stratified_p([one, (one[1], one[0])]) == 1  # the opposite at another depth


def test_two_strata_of_counts_against_every_deal_written_out():
    """Up to three events per replicate, and arms of unequal size."""
    strata = [stratum([3, 0, 2], [0, 1]), stratum([1, 0], [0, 0, 2])]
    dealt = []
    for on, off in strata:
        counts = [*on, *off]
        dealt.append([sum(counts[k] for k in chosen) for chosen in itertools.combinations(range(5), len(on))])
    sums = np.array([a + b for a, b in itertools.product(*dealt)])
    seen = 5 + 1
    expected = np.mean(np.abs(sums - sums.mean()) >= abs(seen - sums.mean()) - 1e-9)
    assert stratified_p(strata) == pytest.approx(expected, rel=1e-9)


def test_choices_of_indicators_are_hypergeometric():
    np.testing.assert_allclose(sums_of_choices((1, 1, 1, 0, 0, 0, 0), 4), stats.hypergeom(7, 3, 4).pmf(range(4)))


def test_nothing_that_happened_says_nothing():
    assert stratified_p([]) == 1
    assert stratified_p([stratum([0, 0], [0, 0])]) == 1


def test_it_keeps_its_level_where_strata_differ():
    """Rates of 5 % and 60 % in two strata, alike in both arms: exact, so at most 5 % (4 standard errors: .02)."""
    rng = np.random.default_rng(0)
    found = [
        stratified_p([stratum(*(rng.random((2, 8)) < rate).astype(int)) for rate in (0.05, 0.6)]) for _ in range(2000)
    ]
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 0.02
