"""The arithmetic that all verdicts share: scores, contrasts, intervals, exact tests, as functions of arrays.

y[..., g, d] is a score with residual blocks in the generator (g = 1) or not (g = 0), and in the discriminator (d).
Scores are transformed and signed so that more is better; NaN where no run finished. A positive contrast then means that
residual blocks help.
"""

import itertools
import math

import numpy as np
from scipy import stats

from resgan.options.choices import Scale

Array = np.ndarray

LEVEL = 0.05  # of the tests; intervals cover 1 - LEVEL
EXACT_UP_TO = 20  # replicates: half a million sign flips
DRAWN = 2**17  # random sign flips, for more replicates


# Scores.


def transformed(values: Array, *, scale: Scale, samples: Array | float, low_is_good: bool) -> Array:
    """Return scores on the scale of the intervals, signed so that more is better.

    share     logit; 0 and 1 count as half a sample away; `samples` is the denominator of the share
    distance  natural logarithm
    plain     unchanged
    """
    y = np.asarray(values, dtype=float)
    if scale == "share":
        y = np.clip(y, 0.5 / samples, 1 - 0.5 / samples)
        y = np.log(y / (1 - y))
    elif scale == "distance":
        y = np.log(np.maximum(y, 1e-12))
    return -y if low_is_good else y


def with_worst(y: Array, *, floor: float | None = None) -> Array:
    """Give diverged runs (NaN) the worst score: `floor` where the scale has one, else the worst score seen."""
    seen = y[np.isfinite(y)]
    worst = floor if floor is not None else (seen.min() if seen.size else 0.0)
    return np.where(np.isfinite(y), y, worst)


# Contrasts.


def contrasts(y: Array) -> dict[str, Array]:
    """Return the contrasts of the four arms by name, each (...), from y (..., 2, 2).

    G      effect of the switch in the generator, mean over both discriminators
    D      effect of the switch in the discriminator, mean over both generators
    G x D  effect of the switch in D when G is residual, minus its effect when G is plain
    G - D  residual blocks in the generator only, minus residual blocks in the discriminator only

    The rest are simple effects: of the switch in one network beside one state of the other.
    """
    plain, only_d, only_g, both = y[..., 0, 0], y[..., 0, 1], y[..., 1, 0], y[..., 1, 1]
    return {
        "G": ((both + only_g) - (only_d + plain)) / 2,
        "D": ((both + only_d) - (only_g + plain)) / 2,
        "G x D": (both - only_g) - (only_d - plain),
        "G - D": only_g - only_d,
        "G, plain D": only_g - plain,
        "G, residual D": both - only_d,
        "D, plain G": only_d - plain,
        "D, residual G": both - only_g,
    }


# Uncertainty.


def t_interval(x: Array, *, level: float = LEVEL) -> tuple[float, float] | None:
    """Return mean +- t_(n-1) sd / sqrt n, which covers 1 - level for normal contrasts; None for fewer than two."""
    n = len(x)
    if n < 2:
        return None
    half = float(stats.t.ppf(1 - level / 2, n - 1) * x.std(ddof=1) / math.sqrt(n))
    return float(x.mean()) - half, float(x.mean()) + half


def improved(gains: list[Array], *, margin: float) -> bool:
    """Check whether some arm is shown to have gained, from the gains (R,) of the replicates of each arm.

    By one-sided t tests of each arm. Below three replicates their intervals are very wide, and all gains together are
    tested too, as if arms of a replicate were independent. 5 % is divided among the tests, so that arms which gained
    nothing seldom pass. A gain alone has to exceed the margin.
    """
    together = np.concatenate(gains)
    if len(together) == 1:
        return bool(together[0] > margin)
    few = max(map(len, gains)) < 3 and len(gains) > 1
    tested = [gain for gain in gains if len(gain) > 1] + ([together] if few else [])
    found = [t_interval(gain, level=2 * LEVEL / len(tested)) for gain in tested]
    return any(interval is not None and interval[0] > 0 for interval in found)


def sign_flip(x: Array) -> float:
    """Return two-sided p of "the contrasts of a replicate are symmetric about 0", for x (R,), or (R, K) jointly."""
    return float(max_flip(x.reshape(len(x), -1)).min(initial=1.0))


def max_flip(x: Array) -> Array:
    """Return two-sided p (K,) of the contrasts x (R, K), corrected for all of them (Westfall & Young 1993, one step).

    The statistic is the largest |sum x| / sqrt(sum x^2) of the K contrasts; all contrasts of a replicate flip together.
    No flip changes the divisor, and |t| grows with the ratio, which puts contrasts of unequal noise on one scale. NaN
    counts as 0. Exact up to 20 replicates; above, from 2^17 flips: the observed one, the others drawn at random.
    """
    x = np.nan_to_num(x)
    length = np.sqrt((x**2).sum(0))
    x = x / np.where(length > 0, length, 1.0)
    seen = np.abs(x.sum(0))
    if not seen.any():
        return np.ones(len(seen))
    flipped = all_flips(x) if len(x) <= EXACT_UP_TO else np.append(random_flips(x, DRAWN - 1), seen.max())
    return np.array(
        [(flipped >= one - 1e-9).mean() for one in seen]
    )  # 1e-9: sums of the same numbers in another order count as equal


def all_flips(x: Array) -> Array:
    """Return the largest |column sum| of x (R, K) at each of the 2^(R - 1) flips; the other half mirrors them."""
    sums = x[:1]
    for row in x[1:]:
        sums = np.concatenate([sums + row, sums - row])
    return np.abs(sums).max(1)


def random_flips(x: Array, count: int) -> Array:
    rng = np.random.default_rng(0)  # the report is a function of the runs alone
    chunks = (rng.choice([-1.0, 1.0], (min(2**14, count - start), len(x))) for start in range(0, count, 2**14))
    return np.concatenate([np.abs(signs @ x).max(1) for signs in chunks])


def smallest_p(replicates: int) -> float:
    """The smallest p of the sign-flip test: all contrasts on one side, 2 of 2^n flips."""
    return 2.0 ** (1 - min(replicates, EXACT_UP_TO))


def holm(p: list[float]) -> list[float]:
    """Adjust the p of several tests so that the family-wise error is kept at the level (Holm 1979)."""
    order = sorted(range(len(p)), key=lambda k: p[k])
    steps = itertools.accumulate((min(1.0, (len(p) - i) * p[k]) for i, k in enumerate(order)), max)
    adjusted = dict(zip(order, steps, strict=True))
    return [adjusted[k] for k in range(len(p))]


def wilson(events: int, runs: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate, such as that of divergence or collapse (Wilson 1927)."""
    interval = stats.binomtest(events, runs).proportion_ci(1 - LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def pair_correlation(y: Array) -> float | None:
    """Return mean correlation of the six pairs of arms over replicates (R, 2, 2): the gain of pairing. None below 3."""
    columns = y.reshape(len(y), 4)
    columns = columns[np.isfinite(columns).all(1)]
    if len(columns) < 3 or (columns.std(0) == 0).any():
        return None
    return float(np.corrcoef(columns.T)[np.triu_indices(4, 1)].mean())


def area_under(images: Array, scores: Array) -> float:
    """Return the mean height of a learning curve, by the trapezoidal rule over images seen."""
    return float(np.trapezoid(scores, images) / (images[-1] - images[0])) if len(images) > 1 else float(scores[0])
