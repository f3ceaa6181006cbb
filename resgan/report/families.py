"""The verdict on a curve over depth: one test for each effect, and intervals that hold at all depths at once.

y[r, l, g, d] is the score of replicate r at depth l in an arm. The primary family is three hypotheses, G, D and G x D.
Each is tested by the larger of its slope over log2 depth and its effect at the deepest depth, by joint sign flips: all
depths of a replicate flip together. Holm's correction covers the three. Single depths have simultaneous bands.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from resgan.report.bands import bands
from resgan.report.effects import LEVEL, Array, contrasts, holm, sign_flip
from resgan.report.equivalence import p_within

HOLM_FAMILY = ("G", "D", "G x D")  # the hypotheses that share Holm's correction
BESIDE = {"G": ("G, plain D", "G, residual D"), "D": ("D, plain G", "D, residual G")}  # simple effects of a switch
TOGETHER = (*((name,) for name in HOLM_FAMILY), ("G - D",), *BESIDE.values())  # contrasts that share a band

Verdict = Literal["helps", "within the margin", "hurts", "not told apart"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One contrast at one depth, on the transformed scale; positive: residual blocks help."""

    mean: float
    interval: tuple[float, float] | None  # simultaneous over the depths, and over both states of the other network
    p_within: float | None  # of "not within the margin" (TOST); None without a margin, or from a single replicate
    replicates: int
    found: bool  # does the corrected test of the curve find the effect?

    @property
    def within(self) -> bool:
        return self.p_within is not None and self.p_within <= LEVEL

    @property
    def verdict(self) -> Verdict:
        """Verdict by test and band together; an effect shown to lie within the margin is none, whatever its sign."""
        if self.within:
            return "within the margin"
        if not self.found or self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return "not told apart"
        return "helps" if self.mean > 0 else "hurts"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One contrast along a curve."""

    name: str
    slope: Estimate | None  # per doubling of depth; None at a single depth
    p: float  # joint sign flips, two-sided
    p_holm: float  # the same, corrected over G, D and G x D
    at: tuple[Estimate, ...]  # by depth, shallow first

    @property
    def deepest(self) -> Estimate:
        return self.at[-1]


def effects(y: Array, depths: Array, *, margin: float | None) -> dict[str, Effect]:
    """Return all contrasts of y (R, L, 2, 2) by name; NaN is a missing value. `depths` (L,) ascend."""
    by_name = contrasts(y)  # each (R, L)
    p, corrected = p_values(by_name, depths)
    found = {}
    for names in TOGETHER:
        rows = estimates(
            np.concatenate([by_name[name] for name in names], axis=1),
            margin=margin,
            found=np.repeat([corrected[name] <= LEVEL for name in names], len(depths)),
        )
        for k, name in enumerate(names):
            at = tuple(rows[k * len(depths) : (k + 1) * len(depths)])
            found[name] = Effect(
                name=name, slope=slope_of(by_name[name], depths), p=p[name], p_holm=corrected[name], at=at
            )
    return found


def p_values(by_name: dict[str, Array], depths: Array) -> tuple[dict[str, float], dict[str, float]]:
    """Return p of all contrasts (R, L), and the same with Holm's correction over G, D and G x D.

    A simple effect, which differs from 0 only where the main effect or the interaction does, takes their smaller p.
    G - D is a claim of its own.
    """
    p = {name: sign_flip(statistics(by_name[name], depths)) for name in (*HOLM_FAMILY, "G - D")}
    corrected: dict[str, float] = dict(zip(HOLM_FAMILY, holm([p[name] for name in HOLM_FAMILY]), strict=True))
    corrected["G - D"] = p["G - D"]
    for found in (p, corrected):
        found |= {name: min(found[network], found["G x D"]) for network, names in BESIDE.items() for name in names}
    return p, corrected


def statistics(x: Array, depths: Array) -> Array:
    """Slope over log2 depth and effect at the deepest depth of each replicate (R, 2), of x (R, L); (R, 1) for L = 1."""
    return x if len(depths) == 1 else np.stack([slopes(x, depths), x[:, -1]], axis=1)


def slopes(x: Array, depths: Array) -> Array:
    """Return least-squares slopes over log2 depth of the rows of x (R, L), from finite values; NaN below 2 depths."""
    seen = np.isfinite(x)
    weights = np.where(seen, np.log2(depths), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.where(seen, weights - np.nansum(weights, 1, keepdims=True) / seen.sum(1, keepdims=True), 0.0)
        return (weights * np.where(seen, x, 0.0)).sum(1) / (weights**2).sum(1)


def slope_of(x: Array, depths: Array) -> Estimate | None:
    if len(depths) == 1:
        return None
    return estimates(slopes(x, depths)[:, None], margin=None, found=np.array([False]))[0]


def estimates(x: Array, *, margin: float | None, found: Array) -> list[Estimate]:
    """Return an estimate for each column of x (R, K), with bands that hold for all columns at once."""
    return [
        Estimate(
            mean=float(mean),
            interval=(float(low), float(high)) if math.isfinite(low) else None,
            p_within=None if margin is None else p_within(column[np.isfinite(column)], margin=margin),
            replicates=int(np.isfinite(column).sum()),
            found=bool(is_found),
        )
        for mean, low, high, column, is_found in zip(*bands(x), x.T, found, strict=True)
    ]
