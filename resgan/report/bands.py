"""Simultaneous intervals: several means of the same replicates that are all covered at once."""

import functools

import numpy as np
from scipy import stats

from resgan.report.effects import LEVEL, Array

DRAWS = 2**14  # of the multivariate t: the critical value is known to about 0.7 %


def bands(x: Array, *, level: float = LEVEL) -> tuple[Array, Array, Array]:
    """Mean, lower and upper ends (K,) of the columns of x (R, K), covered all at once with 1 - level; NaN is missing.

    mean +- c sd / sqrt n, where c is the critical value of max |t|: of a multivariate t with the correlation seen among
    the replicates (Hothorn, Bretz & Westfall 2008). One column gives Student's interval. Ends are NaN below 2
    replicates.
    """
    mean, error, smallest = summarised(x)
    half = error * critical_value(x, df=smallest - 1, two_sided=True, level=level)
    return mean, mean - half, mean + half


def summarised(x: Array) -> tuple[Array, Array, int]:
    """Means and standard errors (K,) of the columns of x (R, K), and the smallest number of replicates in one."""
    counts = np.isfinite(x).sum(0)
    filled = np.where(np.isfinite(x), x, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(0) / counts
        spread = np.where(np.isfinite(x), x - mean, 0.0)
        error = np.sqrt((spread**2).sum(0) / (counts - 1) / counts)
    error = np.where(error > 1e-12 * np.abs(mean), error, np.where(np.isnan(error), np.nan, 0.0))  # equal numbers
    return mean, error, int(counts.min())


def critical_value(x: Array, *, df: int, two_sided: bool, level: float = LEVEL) -> float:
    """The value that max |t| or max t over the columns of x (R, K) exceeds with probability `level`; or NaN."""
    if df < 1:
        return float("nan")
    whole = x[np.isfinite(x).all(1)]
    centred = whole - whole.mean(0) if len(whole) > 2 else np.eye(x.shape[1])  # too few: as if independent
    length = np.sqrt((centred**2).sum(0))
    centred = centred[:, length > 0] / length[length > 0]
    if centred.shape[1] <= 1:
        return float(stats.t.isf(level / 2 if two_sided else level, df))
    normal, scale = draws(len(centred), df)
    t = normal @ centred / scale  # columns correlate as those of x do
    return float(np.quantile((np.abs(t) if two_sided else t).max(1), 1 - level))


@functools.cache
def draws(rows: int, df: int) -> tuple[Array, Array]:
    """Normal numbers (DRAWS, rows), and the roots of as many chi^2 / df (DRAWS, 1); the same at every call."""
    rng = np.random.default_rng(0)  # the report is a function of the runs alone
    return rng.normal(size=(DRAWS, rows)), np.sqrt(rng.chisquare(df, (DRAWS, 1)) / df)
