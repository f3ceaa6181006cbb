"""Ends that no score tells: divergence, collapse, a dead discriminator. Exact tests of counts, pooled over depths."""

import functools
from collections.abc import Sequence

import numpy as np

from resgan.report.effects import Array

Stratum = tuple[Array, Array]  # events of each replicate with residual blocks (N,), and without (M,)


def stratified_p(strata: Sequence[Stratum]) -> float:
    """Two-sided p of "which replicates have the events has nothing to do with the switch", exact.

    A stratum is a depth and a state of the other network. Within each the counts are dealt to the two arms anew, in
    all ways; the statistic is the sum over strata of the events with residual blocks. Where a replicate is one run this
    is the exact conditional test of Cochran, Mantel and Haenszel, and of Fisher in a single stratum. p is the
    probability of a sum as far from its mean. Replicates, strata and arms are taken as independent.
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
    """Distribution of the sum of `chosen` of the counts, all choices equally likely: its probability at 0, 1, 2, ..."""
    ways = np.zeros((chosen + 1, sum(counts) + 1))  # ways to choose k that sum to s
    ways[0, 0] = 1
    for count in counts:
        further = ways.copy()
        further[1:, count:] += ways[:-1, : ways.shape[1] - count]
        ways = further
    return ways[chosen] / ways[chosen].sum()
