"""The protocol: from the scores of a 2 x 2 experiment to effects with their uncertainty, as functions of arrays.

A block is one seed in all four arms: y[s, g, d] is the score of seed s with residual blocks in the generator (g = 1)
or not (g = 0), and in the discriminator (d). Scores are transformed and turned so that more is better, NaN where a run
diverged. A positive effect then says that residual blocks help.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import optimize, stats

Array = np.ndarray
Scale = Literal["share", "distance", "plain"]

LEVEL = 0.05  # of the tests; intervals cover 1 - LEVEL
POWER = 0.8
EXACT_UP_TO = 20  # seeds: a million sign flips. With more, as many are drawn at random


# Scores.


def transformed(values: Array, *, scale: Scale, samples: Array | float, low_is_good: bool) -> Array:
    """Scores on the scale that the intervals are made on, turned so that more is better.

    share     logit; 0 and 1 count as half a sample away from it, of as many as it is a share of
    distance  natural logarithm
    plain     as they are
    """
    y = np.asarray(values, dtype=float)
    if scale == "share":
        y = np.clip(y, 0.5 / samples, 1 - 0.5 / samples)
        y = np.log(y / (1 - y))
    elif scale == "distance":
        y = np.log(np.maximum(y, 1e-12))
    return -y if low_is_good else y


def with_worst(y: Array, *, floor: float | None = None) -> Array:
    """Give runs that diverged (NaN) the worst place: `floor` where the scale has one, else the worst score seen."""
    seen = y[np.isfinite(y)]
    worst = floor if floor is not None else (seen.min() if seen.size else 0.0)
    return np.where(np.isfinite(y), y, worst)


def ranks(y: Array) -> Array:
    """Ranks among all runs, 1 for the worst; runs that diverged share the lowest place."""
    filled = np.where(np.isfinite(y), y, -np.inf)
    return stats.rankdata(filled, method="average").reshape(y.shape)


# Contrasts.


def contrasts(y: Array) -> dict[str, Array]:
    """Per-seed contrasts of blocks (S, 2, 2), each (S,).

    G      mean over both discriminators of what the switch in the generator changes
    D      the same for the discriminator
    G x D  what the switch in D changes when G is residual, less what it changes when G is plain
    G - D  residual blocks in the generator only, less residual blocks in the discriminator only
    """
    plain, only_d, only_g, both = y[:, 0, 0], y[:, 0, 1], y[:, 1, 0], y[:, 1, 1]
    return {
        "G": ((both + only_g) - (only_d + plain)) / 2,
        "D": ((both + only_d) - (only_g + plain)) / 2,
        "G x D": (both - only_g) - (only_d - plain),
        "G - D": only_g - only_d,
    }


HOLM_FAMILY = ("G", "D", "G x D")  # the hypotheses that share Holm's correction


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One contrast over the seeds, on the transformed scale; positive: residual blocks help."""

    name: str
    per_seed: Array  # (S,)
    mean: float
    interval: tuple[float, float] | None  # Student's t; None from a single seed
    p: float  # exact sign-flip test, two-sided
    p_holm: float  # the same, corrected over G, D and G x D
    p_ranks: float  # sign-flip test of the same contrast of ranks

    @property
    def verdict(self) -> Literal["positive", "negative", "inconclusive"]:
        """By interval and corrected test together: what one of them does not carry is not claimed."""
        if self.interval is None or self.p_holm > LEVEL or self.interval[0] <= 0 <= self.interval[1]:
            return "inconclusive"
        return "positive" if self.mean > 0 else "negative"


def effects(y: Array, *, floor: float | None = None) -> dict[str, Effect]:
    """All contrasts of blocks (S, 2, 2), by name. `floor`: the transformed score of a run that diverged."""
    filled, by_rank = contrasts(with_worst(y, floor=floor)), contrasts(ranks(y))
    p = {name: sign_flip(x) for name, x in filled.items()}
    corrected: dict[str, float] = dict(zip(HOLM_FAMILY, holm([p[name] for name in HOLM_FAMILY]), strict=True))
    return {
        name: Effect(
            name=name,
            per_seed=x,
            mean=float(x.mean()),
            interval=t_interval(x),
            p=p[name],
            p_holm=corrected.get(name, p[name]),  # G - D is a claim of its own
            p_ranks=sign_flip(by_rank[name]),
        )
        for name, x in filled.items()
    }


# Uncertainty.


def t_interval(x: Array, *, level: float = LEVEL) -> tuple[float, float] | None:
    """mean +- t_(n-1) sd / sqrt n, which covers 1 - level for normal contrasts; None for fewer than two."""
    n = len(x)
    if n < 2:
        return None
    half = float(stats.t.ppf(1 - level / 2, n - 1) * x.std(ddof=1) / math.sqrt(n))
    return float(x.mean()) - half, float(x.mean()) + half


def sign_flip(x: Array) -> float:
    """Two-sided p of "the contrast is symmetric about 0": the share of sign flips whose |sum| is as large.

    Exact up to 20 contrasts; above, of 2^20 flips drawn at random, the observed one among them.
    """
    if len(x) <= EXACT_UP_TO:
        sums = np.zeros(1)
        for value in x:
            sums = np.concatenate([sums + value, sums - value])
    else:
        sums = np.concatenate([[x.sum()], random_flips(x, 2**EXACT_UP_TO - 1)])
    tolerance = 1e-9 * max(1e-300, float(np.abs(x).sum()))  # sums of the same numbers in another order are equal
    return float((np.abs(sums) >= abs(float(x.sum())) - tolerance).mean())


def random_flips(x: Array, count: int) -> Array:
    rng = np.random.default_rng(0)  # the report is a function of the runs alone
    chunks = (rng.choice([-1.0, 1.0], (min(2**14, count - start), len(x))) for start in range(0, count, 2**14))
    return np.concatenate([signs @ x for signs in chunks])


def smallest_p(seeds: int) -> float:
    """The smallest p of the sign-flip test: all contrasts on one side, 2 of 2^n flips."""
    return 2.0 ** (1 - min(seeds, EXACT_UP_TO))


def holm(p: list[float]) -> list[float]:
    """Adjusted p of several tests: family-wise error is kept at the level (Holm 1979)."""
    order = sorted(range(len(p)), key=lambda k: p[k])
    steps = itertools.accumulate((min(1.0, (len(p) - i) * p[k]) for i, k in enumerate(order)), max)
    adjusted = dict(zip(order, steps, strict=True))
    return [adjusted[k] for k in range(len(p))]


def wilson(events: int, runs: int) -> tuple[float, float]:
    """95 % interval of a rate (Wilson 1927): of divergence, of collapse."""
    interval = stats.binomtest(events, runs).proportion_ci(1 - LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def detectable(seeds: int, *, power: float = POWER, level: float = LEVEL) -> float:
    """The smallest effect a two-sided t test finds with this power, in standard deviations of one contrast.

    A contrast of four independent runs with standard deviation s each has the standard deviation s for a main effect
    and 2 s for the interaction. Infinite for a single seed.
    """
    if seeds < 2:
        return math.inf
    critical = stats.f.isf(level, 1, seeds - 1)

    def missing_power(effect: float) -> float:
        return float(stats.ncf.sf(critical, 1, seeds - 1, seeds * effect**2)) - power  # t^2 is F, two-sided at once

    return float(optimize.brentq(missing_power, 1e-6, 100.0))  # type: ignore[arg-type]


def pair_correlation(y: Array) -> float | None:
    """Mean correlation over seeds of the six pairs of arms: what the pairing by seed buys. None below 3 seeds."""
    columns = with_worst(y).reshape(len(y), 4)
    if len(columns) < 3 or (columns.std(0) == 0).any():
        return None
    return float(np.corrcoef(columns.T)[np.triu_indices(4, 1)].mean())


def area_under(images: Array, scores: Array) -> float:
    """Mean height of a learning curve, by the trapezoid rule over images seen."""
    return float(np.trapezoid(scores, images) / (images[-1] - images[0])) if len(images) > 1 else float(scores[0])
