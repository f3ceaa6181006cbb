"""Simultaneous intervals: several means of the same replicates that are all covered at once."""

import functools

import numpy as np
from scipy import special, stats

from resgan.report.effects import LEVEL, Array

DRAWS = 2**12  # samples of the same shape: a coverage of .95 is known to .0034


def bands(x: Array, *, level: float = LEVEL) -> tuple[Array, Array, Array]:
    """Mean, lower and upper ends (K,) of the columns of x (R, K), covered all at once with 1 - level; NaN is missing.

    mean +- c sd / sqrt n, see `critical_values`: max-t intervals (Hothorn, Bretz & Westfall 2008). One column gives
    Student's interval. Ends are NaN below 2 replicates.
    """
    mean, error = summarised(x)
    half = error * critical_values(x, two_sided=True, level=level)
    return mean, mean - half, mean + half


def summarised(x: Array) -> tuple[Array, Array]:
    """Means and standard errors of the columns of x (..., R, K), by what each has: (..., K), (..., K)."""
    seen = np.isfinite(x)
    counts = seen.sum(-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(seen, x, 0.0).sum(-2) / counts
        spread = np.where(seen, x - mean[..., None, :], 0.0)
        error = np.sqrt((spread**2).sum(-2) / (counts - 1) / counts)
    return mean, np.where(error <= 1e-12 * np.abs(mean), 0.0, error)  # numbers that are equal but for rounding


def critical_values(x: Array, *, two_sided: bool, level: float = LEVEL) -> Array:
    """Values (K,) such that |t|, or t, of some column of x (R, K) exceeds its own with probability `level`.

    All columns share one p, that of Student's t with their degrees of freedom. It is found by drawing normal samples
    that lack the values which x lacks, with the correlation seen: so each t is divided by its own standard deviation,
    as those of the columns are. NaN for a column of fewer than 2.
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
    """Normal samples (B, R, K) of mean 0 with the correlation of x (R, K), lacking what it lacks; None of one column.

    Columns without spread are left out: their t is no number. Correlations are those of complete rows, none below 3.
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
    """Normal numbers (DRAWS rows, columns), the same at every call: the report is a function of the runs alone."""
    return np.random.default_rng(0).normal(size=(DRAWS * rows, columns))
