"""Equivalence: is an effect small enough not to matter, and how much longer would one train for as much?"""

import math
from collections.abc import Iterable

import numpy as np
from scipy import stats

from resgan.report.effects import Array, Scale, t_interval

# What does not matter, on the transformed scale: an odds ratio of 1.5 of a share; of a distance 0.80 to 1.25, as two
# medicines are held to be the same (Schuirmann 1987). Other scores have no unit that would say.
MARGINS: dict[Scale, float] = {"share": math.log(1.5), "distance": math.log(1.25)}
LATER = 0.25  # a curve's slope is read from the images after this share of its length


def p_within(x: Array, *, margin: float) -> float | None:
    """p of "the mean of x (n,) lies outside +-margin": the larger of two one-sided t tests. None for fewer than two."""
    n = len(x)
    if n < 2:
        return None
    mean, error = float(x.mean()), float(x.std(ddof=1)) / math.sqrt(n)
    if error <= 1e-12 * abs(mean):
        return 0.0 if abs(mean) < margin else 1.0
    return float(stats.t.sf((margin - abs(mean)) / error, n - 1))


def gain(replicates: Iterable[list[tuple[Array, Array]]]) -> float | None:
    """How much the transformed score gains while the images grow e-fold, from (images, y) of runs by replicate.

    Least squares over log images after the first quarter, mean over the runs of a replicate and over replicates. None
    where the 95 % interval over replicates does not lie above 0, or a curve has fewer than three points left: then it
    cannot be told.
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
    """How many times as many images buy a gain of `effect`."""
    return math.exp(min(effect / gain, 700.0))
