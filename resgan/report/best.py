"""Multiple comparison with the best: which arms cannot be told from the best one (Hsu 1984)."""

from dataclasses import dataclass

import numpy as np

from resgan.report.bands import critical_values, summarised
from resgan.report.effects import LEVEL, Array


@dataclass(frozen=True)
class AgainstBest:
    """Score of one arm minus the best of the others."""

    mean: float
    interval: tuple[float, float]  # constrained: it contains 0 or ends at 0
    may_be_best: bool


def compare_with_best(y: Array, *, level: float = LEVEL) -> list[AgainstBest]:
    """Compare every arm of y (R, K) with the best of the others; more is better. Empty below 2 replicates.

    With probability 1 - level all intervals hold at once, and the best arm is among those with `may_be_best`.

    Arms are paired by replicate: each arm i is compared with the others as Dunnett (1955) compares a control, by the
    differences y_i - y_j within replicates, each with its own standard error (n - 1 degrees of freedom), and with the
    observed correlation. So the noise of arms may differ; the differences are taken as jointly normal.
    """
    y = y[np.isfinite(y).all(1)]
    if len(y) < 2:
        return []
    arms = range(y.shape[1])
    compared = [one_against_others(y, i, level=level) for i in arms]
    candidates = [i for i in arms if compared[i][1].min() >= 0]
    found = []
    for i in arms:
        means, upper = compared[i]
        rest = [j for j in candidates if j != i]
        # The lower bound of y_i - y_j is minus the upper bound of y_j - y_i.
        low = min([0.0, *(-float(compared[j][1][i - (i > j)]) for j in rest)])
        found.append(AgainstBest(float(means.min()), (low, max(0.0, float(upper.min()))), i in candidates))
    return found


def one_against_others(y: Array, i: int, *, level: float) -> tuple[Array, Array]:
    """Return means and simultaneous upper bounds (K - 1,) of y_i - y_j."""
    x = y[:, [i]] - np.delete(y, i, axis=1)
    mean, error = summarised(x)
    half = error * critical_values(x, two_sided=False, level=level)
    return mean, mean + half
