"""Exact scores of the testbeds, whose true distribution is known."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from scipy import stats
from torch import Tensor
from torchmetrics.utilities.data import dim_zero_cat

from resgan.base.images import as_uint8, to_float
from resgan.base.plain_data import PlainData
from resgan.metrics.cards import Reading
from resgan.metrics.score import Score

LEAST_VALID = 200  # fewer valid samples do not tell which they are: no novelty, copying and the like
FEW_VALID = f"fewer than {LEAST_VALID} samples are valid"


def total_variation(counts: Tensor) -> float:
    """Return the TV distance of a histogram (classes + 1,), whose last entry is the invalid, to uniform over classes.

    The primary endpoint: 0 is perfect, 1 is all invalid.
    """
    uniform = torch.ones_like(counts)
    uniform[-1] = 0
    return total_variation_between(counts, uniform)


def total_variation_between(counts: Tensor, others: Tensor) -> float:
    """TV distance of two histograms (classes + 1,), 0 to 1: TV(p, q) = 1/2 sum |p - q|."""
    p, q = (histogram.double() / histogram.sum() for histogram in (counts, others))
    return float((p - q).abs().sum() / 2)


def kl_to_uniform(counts: Tensor) -> float | None:
    """Return KL(p, uniform) in nats over the modes (K,), minus (k - 1) / 2n, where k modes were hit (Miller 1955).

    The bias at n samples is (m - 1) / 2n, where m modes have a nonzero share: all K of a perfect sampler, few of a
    collapsed one; the modes that were hit stand for them. So a perfect sampler scores 0 on average, and may score a
    little below; near n = K, where it misses many modes, it scores above. None for n < K: the correction, the first
    term of a series in K / n, is meaningless there.
    """
    n, modes = int(counts.sum()), len(counts)
    if n < modes:
        return None
    share = counts.double() / n
    plain = float(torch.special.xlogy(share, share * modes).sum())
    return plain - (int((counts > 0).sum()) - 1) / (2 * n)


def mode_counts(points: Tensor, *, centres: Tensor, sd: float) -> Tensor:
    """Count the points (N, 2) within 3 standard deviations of each of the K modes, and of none: (K + 1,)."""
    distance, nearest = torch.cdist(points.double(), centres.double()).min(1)
    return torch.bincount(torch.where(distance <= 3 * sd, nearest, len(centres)), minlength=len(centres) + 1)


def gaussian_scores(
    points: Tensor,  # (N, 2)
    *,
    centres: Tensor,  # of the modes (K, 2)
    sd: float,  # of each
    trained: Tensor,  # (K + 1,), the `mode_counts` of the training points
) -> dict[str, float | None]:
    """Score points against modes; a point within 3 standard deviations of a mode is valid.

    A perfect sampler has validity 1 - e^-4.5 = 0.989, and so a total variation of 0.011 to uniform (tv). Total
    variation is also measured to the training points (tv_data): a few points are far from uniform themselves, which is
    no fault of a generator that replays them. The median distance to the nearest mode, in standard deviations, falls
    before any point is valid.
    """
    counts = mode_counts(points, centres=centres, sd=sd)
    return {
        "tv": total_variation(counts),
        "validity": float(counts[:-1].sum()) / len(points),
        "modes": int((counts[:-1] > 0).sum()),
        "kl": kl_to_uniform(counts[:-1]),
        "tv_data": total_variation_between(counts, trained),
        "distance": float(torch.cdist(points.double(), centres.double()).amin(1).median()) / sd,
    }


def nearest_template(images: Tensor, templates: Tensor) -> tuple[Tensor, Tensor]:
    """Return the L2 distance on [-1, 1] to the nearest template, and its index: (N,), (N,). Arguments are uint8."""
    known = to_float(templates).flatten(1)  # (K, d)
    distances, indices = [], []
    for chunk in images.split(2000):
        given = to_float(chunk).flatten(1)  # (n, d)
        # |a - b|^2 = |a|^2 - 2 ab + |b|^2 finds the nearest; its distance is then taken without the cancellation.
        index = (known.square().sum(1) - 2 * given @ known.T).argmin(1)
        indices.append(index)
        distances.append((given - known[index]).norm(dim=1))
    return torch.cat(distances), torch.cat(indices)


def shape_scores(
    samples: Tensor,  # (N, C, H, W), uint8, or floats in [-1, 1]
    *,
    templates: Tensor,  # (K, C, H, W), uint8
    classes: Tensor,  # (K,), the class of each template
    trained: Tensor,  # (K,), bool: which templates were trained on
    tau: float,  # valid is closer than this to a template
) -> dict[str, float | None]:
    """Score images against templates.

    tv        total variation to uniform over the classes and one invalid class
    validity  share of valid samples
    modes     trained templates that were hit
    kl        of valid samples over the trained templates, to uniform
    novelty   share of valid samples never trained on: 0 is a pure replicator, 0.5 full recombination
    """
    located = nearest_template(as_uint8(samples), templates)
    return scores_of_located(*located, classes=classes, trained=trained, tau=tau)


def scores_of_located(
    distance: Tensor, nearest: Tensor, *, classes: Tensor, trained: Tensor, tau: float
) -> dict[str, float | None]:
    """Return the scores of `shape_scores` from the result of `nearest_template`."""
    valid = distance < tau
    hits = nearest[valid]
    per_class = torch.bincount(classes[hits], minlength=int(classes.max()) + 1)
    per_trained = torch.bincount(hits, minlength=len(trained))[trained]
    return {
        "tv": total_variation(torch.cat([per_class, (~valid).sum().view(1)])),
        "validity": float(valid.double().mean()),
        "modes": int((per_trained > 0).sum()),
        "kl": kl_to_uniform(per_trained),
        "novelty": float((~trained[hits]).double().mean()) if len(hits) >= LEAST_VALID else None,
    }


def perfect_modes(modes: int, samples: int) -> float:
    """Return how many of `modes` equally likely modes a perfect sampler hits, on average."""
    return modes * -math.expm1(samples * math.log1p(-1 / modes))


# Scores of a perfect sampler: n samples cannot do better.


def perfect_gaussians(modes: int, *, samples: int, trained: Tensor) -> dict[str, float]:
    """Return expected scores of samples of the true `data=gaussians`; for tv_data, of the training points."""
    outside = math.exp(-4.5)  # beyond 3 standard deviations in the plane
    return {
        "tv": expected_total_variation(modes, samples=samples, invalid=outside),
        "validity": 1 - outside,
        "modes": perfect_modes(modes, round(samples * (1 - outside))),
        "kl": 0.0,
        "tv_data": expected_resampling_variation(trained, samples=samples),
        "distance": math.sqrt(2 * math.log(2)),  # the median of Rayleigh's distribution; other modes are far away
    }


def perfect_shapes(*, classes: int, trained: int, samples: int) -> dict[str, float]:
    """Expected scores of samples drawn uniformly from all templates, the held-out half included.

    So recombination is full: novelty is 0.5, and about half of the samples hit trained templates.
    """
    return {
        "tv": expected_total_variation(classes, samples=samples),
        "validity": 1.0,
        "modes": perfect_modes(trained, round(samples / 2)),
        "kl": 0.0,
        "novelty": 0.5,
    }


def expected_total_variation(classes: int, *, samples: int, invalid: float = 0.0) -> float:
    """Return E[TV to uniform] of a sampler that is uniform over the classes except for a share `invalid`.

    1/2 (K E|X/n - 1/K| + invalid), where X, the count of a class, is binomial with n trials of (1 - invalid) / K.
    """
    k = np.arange(samples + 1)
    probabilities = stats.binom.pmf(k, samples, (1 - invalid) / classes)
    deviation = float(probabilities @ np.abs(k / samples - 1 / classes))
    return (classes * deviation + invalid) / 2


def expected_resampling_variation(counts: Tensor, *, samples: int) -> float:
    """Return E[TV] of a histogram (K,) to that of samples drawn from it.

    1/2 sum E|X/n - p|, where X is binomial with n trials of p: E|X - np| = 2 m (1 - p) P(X = m) with m = floor(np) + 1
    (de Moivre 1730).
    """
    p = (counts.double() / counts.sum()).numpy()
    m = np.floor(samples * p) + 1
    return float((m * (1 - p) * stats.binom.pmf(m, samples, p)).sum() / samples)


# As metrics.

MEANINGS = {
    "tv": Reading(
        "lower",
        "share",
        meaning="distance from valid samples of all classes alike; 1: none is valid",
    ),
    "validity": Reading("higher", "share", meaning="share of samples that the rule of the testbed accepts as real"),
    "modes": Reading("higher", meaning="number of modes with at least one sample"),
    "kl": Reading(
        "lower",
        meaning="unevenness of valid samples over the modes, in nats; 0: even",
        missing="fewer samples are valid than there are modes",
    ),
    "novelty": Reading(
        "higher", "share", "valid", "share of valid samples that are not in the training set; 0: copies only", FEW_VALID
    ),
    "tv_data": Reading("lower", "share", meaning="total variation distance from the shares of the training points"),
    "distance": Reading(
        "lower", "distance", meaning="median distance to the nearest class (for points in SD of a mode); falls first"
    ),
}


class ModeScore(Score):
    """Scores of points (N, 2) against the modes of a mixture of Gaussians: see `gaussian_scores`."""

    def __init__(
        self,
        *,
        centres: Tensor,  # of the modes (K, 2)
        sd: float,  # of each
        train: Tensor,  # training points (M, 2)
        count: int,  # samples
        card: PlainData | None = None,
    ) -> None:
        super().__init__(card=card)
        self.centres, self.sd, self.count = centres, sd, count
        self.trained = mode_counts(train, centres=centres, sd=sd)
        self.add_state("points", [], dist_reduce_fx="cat")
        self.points: list[Tensor]

    @property
    def readings(self) -> Mapping[str, Reading]:
        return {name: MEANINGS[name] for name in ("tv", "validity", "modes", "kl", "tv_data", "distance")}

    def update(self, samples: Tensor) -> None:
        self.points.append(samples.to(self.device))

    def compute(self) -> dict[str, float | None]:
        points = dim_zero_cat(self.points).cpu()
        return gaussian_scores(points, centres=self.centres, sd=self.sd, trained=self.trained)

    def ideal_scores(self) -> dict[str, float]:
        return perfect_gaussians(len(self.centres), samples=self.count, trained=self.trained)


class TemplateScore(Score):
    """Scores of images against templates: see `shape_scores`."""

    def __init__(
        self,
        *,
        templates: Tensor,  # (K, C, H, W), uint8
        classes: Tensor,  # (K,), the class of each template
        trained: Tensor,  # (K,), bool: which templates were trained on
        tau: float,  # valid is closer than this to a template
        count: int,  # samples
        card: PlainData | None = None,
    ) -> None:
        super().__init__(card=card)
        self.templates, self.classes, self.trained = templates, classes, trained
        self.tau, self.count = tau, count
        self.add_state("distances", [], dist_reduce_fx="cat")
        self.add_state("nearest", [], dist_reduce_fx="cat")
        self.distances: list[Tensor]
        self.nearest: list[Tensor]

    @property
    def readings(self) -> Mapping[str, Reading]:
        return {name: MEANINGS[name] for name in ("tv", "validity", "modes", "kl", "novelty")}

    def update(self, samples: Tensor) -> None:
        distances, nearest = nearest_template(as_uint8(samples).cpu(), self.templates)
        self.distances.append(distances.to(self.device))
        self.nearest.append(nearest.to(self.device))

    def compute(self) -> dict[str, float | None]:
        distances, nearest = (dim_zero_cat(found).cpu() for found in (self.distances, self.nearest))
        return scores_of_located(distances, nearest, classes=self.classes, trained=self.trained, tau=self.tau)

    def ideal_scores(self) -> dict[str, float]:
        classes, trained = int(self.classes.max()) + 1, int(self.trained.sum())
        return perfect_shapes(classes=classes, trained=trained, samples=self.count)
