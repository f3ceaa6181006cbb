"""Power of a study: its primary family, simulated with its replicates and depths."""

import functools
import math
from collections.abc import Callable

import numpy as np

from resgan.report.conditions import differences
from resgan.report.effects import LEVEL, Array, smallest_p
from resgan.report.families import statistics

POWER = 0.8
STUDIES = 2000  # simulated: a power of .8 has a standard error of .009
LARGEST = 8.0  # largest effect that is searched for
FLIPS = 2**9  # drawn at random where there are more: from 11 replicates on, p near its limit is known to about .006

# Effects over the depths, from shallow to deep, that are 1 at the deepest.
SHAPES: dict[str, Callable[[Array], Array]] = {
    "alike at every depth": np.ones_like,
    "growing with log2 depth": lambda depths: np.log2(depths / depths[0]) / np.log2(depths[-1] / depths[0]),
    "at the last depth only": lambda depths: np.eye(len(depths))[-1],
}


def power(effect: float, *, replicates: int, depths: tuple[float, ...], shape: str) -> float:
    """Return the probability that the corrected test finds an effect of the switch in G, or in D, with its sign.

    `effect` is in standard deviations of one replicate's score; scores are independent, and the other effects are 0.
    """
    noise, flips = simulated(replicates, depths)
    planted = effect * statistics(SHAPES[shape](np.array(depths))[None], np.array(depths))  # (1, K)
    p, signs = p_values(noise[0] + planted, flips)
    return float(((p <= holm_limit(other_p_values(replicates, depths))) & (signs > 0)).mean())


def detectable(*, replicates: int, depths: tuple[float, ...], shape: str) -> float:
    """Return the smallest effect found with a power of .8, to .01 standard deviations; infinite where none is."""
    if 3 * smallest_p(replicates) > LEVEL:
        return math.inf
    return smallest(lambda effect: power(effect, replicates=replicates, depths=depths, shape=shape))


def smallest(power_of: Callable[[float], float]) -> float:
    low, high = 0.0, LARGEST
    if power_of(high) < POWER:
        return math.inf
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (low, middle) if power_of(middle) >= POWER else (middle, high)
    return high


@functools.cache
def simulated(replicates: int, depths: tuple[float, ...]) -> tuple[Array, Array]:
    """Draw statistics of G, D and G x D in replicates without effect (3, STUDIES, R, K), and sign flips (F, R)."""
    rng = np.random.default_rng(0)
    scale = np.array([1.0, 1.0, 2.0]).reshape(3, 1, 1, 1)  # see effects.contrasts
    noise = scale * rng.normal(size=(3, STUDIES, replicates, len(depths)))
    parts = statistics(noise.reshape(-1, len(depths)), np.array(depths)).reshape(3, STUDIES, replicates, -1)
    return parts, flips_of(replicates, rng)


def flips_of(replicates: int, rng: np.random.Generator) -> Array:
    """Return sign flips (F, R), the observed signs among them."""
    if 2 ** (replicates - 1) <= FLIPS:
        bits = np.arange(2 ** (replicates - 1))[:, None] >> np.arange(replicates)
        return 1.0 - 2.0 * (bits & 1)  # the other half mirrors them
    flips = rng.choice([-1.0, 1.0], (FLIPS, replicates))
    flips[0] = 1
    return flips


@functools.cache
def other_p_values(replicates: int, depths: tuple[float, ...]) -> Array:
    """p of D and G x D, which have no effect (2, STUDIES)."""
    parts, flips = simulated(replicates, depths)
    return np.stack([p_values(x, flips)[0] for x in parts[1:]])


def p_values(parts: Array, flips: Array) -> tuple[Array, Array]:
    """Return p of the joint flips for each study of parts (S, R, K), see effects.sign_flip, and the sign found."""
    parts = parts / np.sqrt((parts**2).sum(1, keepdims=True))
    sums = parts.sum(1)  # (S, K)
    largest = np.abs(sums).argmax(1)
    seen = np.take_along_axis(sums, largest[:, None], 1)[:, 0]
    flipped = np.max([np.abs(flips @ part.T) for part in np.moveaxis(parts, 2, 0)], axis=0)  # (F, S)
    return (flipped >= np.abs(seen) - 1e-9).mean(0), np.sign(seen)


def holm_limit(others: Array) -> Array:
    """Return the p up to which Holm's correction rejects a third hypothesis (S,), given the p of two others (2, S)."""
    smaller, larger = np.sort(others, axis=0)
    further = np.where(2 * larger <= LEVEL, LEVEL, LEVEL / 2)
    return np.where(3 * smaller <= LEVEL, further, LEVEL / 3)


# A list of conditions.


def power_of_list(difference: float, *, replicates: int, conditions: int) -> float:
    """Probability that the test of a list finds a condition that differs from all others, with its sign."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(STUDIES // 4, replicates, conditions))
    y[..., -1] += difference
    x = differences(y)
    x /= np.sqrt((x**2).sum(1, keepdims=True))
    seen = x.sum(1)[:, conditions - 2]  # the last condition less plain
    flips = flips_of(replicates, rng)
    largest = np.max([np.abs(flips @ part.T) for part in np.moveaxis(x, 2, 0)], axis=0)  # (F, S)
    return float((((largest >= np.abs(seen) - 1e-9).mean(0) <= LEVEL) & (seen > 0)).mean())


def detectable_in_list(*, replicates: int, conditions: int) -> float:
    """The smallest difference between conditions that is found with a power of .8, as in `detectable`."""
    return smallest(lambda effect: power_of_list(effect, replicates=replicates, conditions=conditions))
