"""Exact tests of outcomes that no score shows (divergence, collapse, a dead discriminator), pooled over depths."""

import functools
from collections.abc import Sequence

import numpy as np

from resgan.report.effects import Array

Stratum = tuple[Array, Array]  # events of each replicate with residual blocks (N,), and without (M,)


def stratified_p(strata: Sequence[Stratum]) -> float:
    """Return the exact two-sided p of "which replicates have the events has nothing to do with the switch".

    A stratum is a depth and a state of the other network. Within each, the counts are dealt again to the two arms, in
    all ways; the statistic is the sum over strata of the events with residual blocks. p is the probability of a sum at
    least as far from its mean. Where a replicate is one run, this is the exact conditional test of Cochran, Mantel and
    Haenszel, and that of Fisher in a single stratum. Replicates, strata and arms are taken as independent.
    """
    distribution, seen, mean = np.ones(1), 0, 0.0
    for on, off in strata:
        dealt = sums_of_choices(tuple(map(int, (*on, *off))), len(on))
        distribution = np.convolve(distribution, dealt)
        seen += int(sum(on))
        mean += float(dealt @ np.arange(len(dealt)))
    distance = np.abs(np.arange(len(distribution)) - mean)
    return float(min(1.0, distribution[distance >= abs(seen - mean) - 1e-9].sum()))


@functools.cache
def sums_of_choices(counts: tuple[int, ...], chosen: int) -> Array:
    """Return P(sum = 0), P(sum = 1), ... of the sum of `chosen` of the counts, all choices equally likely."""
    ways = np.zeros((chosen + 1, sum(counts) + 1))  # ways[k, s]: choices of k counts that sum to s
    ways[0, 0] = 1
    for count in counts:
        further = ways.copy()
        further[1:, count:] += ways[:-1, : ways.shape[1] - count]
        ways = further
    return ways[chosen] / ways[chosen].sum()
