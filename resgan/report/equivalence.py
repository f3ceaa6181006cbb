"""Equivalence: is an effect too small to matter, and how much more training would give as much?"""

import math
from collections.abc import Iterable

import numpy as np
from scipy import stats

from resgan.report.effects import Array, Scale, t_interval

# Effects that do not matter, on the transformed scale: for a share an odds ratio of 1.5, for a distance a factor of
# 0.80 to 1.25, as for equivalent medicines (Schuirmann 1987). Other scores have no unit that would give a margin.
MARGINS: dict[Scale, float] = {"share": math.log(1.5), "distance": math.log(1.25)}
LATER = 0.25  # the slope of a learning curve is fitted to the points after this share of its images


def p_within(x: Array, *, margin: float) -> float | None:
    """Return p of "the mean of x (n,) lies outside +-margin": the larger of two one-sided t tests. None below 2."""
    n = len(x)
    if n < 2:
        return None
    mean, error = float(x.mean()), float(x.std(ddof=1)) / math.sqrt(n)
    if error <= 1e-12 * abs(mean):
        return 0.0 if abs(mean) < margin else 1.0
    return float(stats.t.sf((margin - abs(mean)) / error, n - 1))


def gain(replicates: Iterable[list[tuple[Array, Array]]]) -> float | None:
    """Return the gain of the transformed score per e-fold of images, from (images, y) of runs by replicate.

    Least squares over log images after the first quarter; mean over the runs of a replicate, then over replicates. None
    (the gain cannot be told) where the 95 % interval over replicates does not lie above 0, or a curve has fewer than
    three points left.
    """
    slopes = []
    for runs in replicates:
        later = [
            (images[keep], scores[keep]) for images, scores in runs if (keep := images >= LATER * images.max()).any()
        ]
        if any(len(images) < 3 for images, _ in later):
            return None
        slopes.append(np.mean([np.polyfit(np.log(images), y, 1)[0] for images, y in later]))
    interval = t_interval(np.array(slopes)) if slopes else None
    return float(np.mean(slopes)) if interval and interval[0] > 0 else None


def images_for(effect: float, *, gain: float) -> float:
    """Return the factor on the number of images that gives a gain of `effect`."""
    return math.exp(min(effect / gain, 700.0))
