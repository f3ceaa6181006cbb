"""Simultaneous intervals: several means of the same replicates that are all covered at once."""

import functools

import numpy as np
from scipy import special, stats

from resgan.report.effects import LEVEL, Array

DRAWS = 2**12  # samples of the shape of x: a coverage of .95 has a standard error of .0034


def bands(x: Array, *, level: float = LEVEL) -> tuple[Array, Array, Array]:
    """Return mean, lower and upper end (K,) of the columns of x (R, K); all means are covered at once with 1 - level.

    NaN is a missing value. Intervals are mean +- c sd / sqrt n with c from `critical_values`: max-t intervals (Hothorn,
    Bretz & Westfall 2008). One column gives Student's interval. Ends are NaN below 2 replicates.
    """
    mean, error = summarised(x)
    half = error * critical_values(x, two_sided=True, level=level)
    return mean, mean - half, mean + half


def summarised(x: Array) -> tuple[Array, Array]:
    """Return means and standard errors (..., K) of the columns of x (..., R, K), over the finite values of each."""
    seen = np.isfinite(x)
    counts = seen.sum(-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(seen, x, 0.0).sum(-2) / counts
        spread = np.where(seen, x - mean[..., None, :], 0.0)
        error = np.sqrt((spread**2).sum(-2) / (counts - 1) / counts)
    return mean, np.where(error <= 1e-12 * np.abs(mean), 0.0, error)  # values that are equal up to rounding


def critical_values(x: Array, *, two_sided: bool, level: float = LEVEL) -> Array:
    """Return critical values (K,): with probability `level`, |t| (or t) of some column of x (R, K) exceeds its value.

    All columns share one p: each value is the quantile at that p of Student's t with the column's degrees of freedom.
    The p is found from normal samples with the observed correlation and the missing values of x; each t is divided by
    its own standard deviation, as in x. NaN for a column of fewer than 2 values.
    """
    counts = np.isfinite(x).sum(0)
    df = np.where(counts > 1, counts - 1, np.nan)
    sides = 2 if two_sided else 1
    drawn = samples_like(x[:, counts > 1])
    if drawn is None:
        return stats.t.isf(level / sides, df)
    mean, error = summarised(drawn)  # (B, K), (B, K)
    t = mean / error
    p = sides * special.stdtr(np.isfinite(drawn[0]).sum(0) - 1, -np.abs(t) if two_sided else -t)
    return stats.t.isf(np.quantile(p.min(1), level) / sides, df)


def samples_like(x: Array) -> Array | None:
    """Draw normal samples (B, R, K) of mean 0 with the correlation and the missing values of x (R, K).

    Columns without spread are left out, since their t is undefined; None where fewer than 2 remain. The correlation is
    that of the complete rows, and 0 where there are fewer than 3.
    """
    whole = x[np.isfinite(x).all(1)]
    centred = whole - whole.mean(0) if len(whole) > 2 else np.eye(x.shape[1])
    length = np.sqrt((centred**2).sum(0))
    varies = length > 1e-12 * np.abs(whole).sum(0)
    if varies.sum() < 2:
        return None
    root = np.linalg.qr(centred[:, varies] / length[varies], mode="r")  # its square is the correlation
    drawn = draws(len(x), len(root)) @ root  # (B R, K)
    return np.where(np.isfinite(x[:, varies]), drawn.reshape(DRAWS, len(x), -1), np.nan)


@functools.cache
def draws(rows: int, columns: int) -> Array:
    """Draw normal numbers (DRAWS * rows, columns), always the same: the report is a function of the runs alone."""
    return np.random.default_rng(0).normal(size=(DRAWS * rows, columns))
