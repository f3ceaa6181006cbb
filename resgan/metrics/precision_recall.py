"""Precision and density (do fakes lie where reals lie?), recall and coverage (do reals lie where fakes lie?).

A set's manifold is the union of balls around its members, each as large as the distance to its k-th neighbour.

precision, recall  Kynkaanniemi et al. 2019, "Improved precision and recall metric", equations 1 to 3: within is <=
density, coverage  Naeem et al. 2020, "Reliable fidelity and diversity metrics", equations 3 and 6: within is <, as in
                   the authors' code; the paper's B(x, r) leaves it open

Distances are those of the difference of two vectors in float64: 0 between copies, and equal for equal pairs. The
product form, |x|^2 - 2 x y + |y|^2, is many times as fast, and errs by a known bound: it decides all pairs but those
that lie within the bound of a radius. So sets with copies, where many distances equal a radius, get what the equations
say.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

K_PRECISION, K_DENSITY = 3, 5  # the authors' own choices
CHUNK = 512  # rows of a matrix of distances that exist at one time
BLOCK = 2**16  # numbers in the differences of vectors that exist at one time: they stay in the cache


@dataclass(frozen=True)
class Distinct:
    """A set of vectors in which each stands once."""

    rows: Tensor  # (u, d), float32 or float64
    counts: Tensor  # (u,), int64: how often each comes
    inverse: Tensor  # (n,), int64: the place of each member in `rows`

    def first(self, values: Tensor) -> Tensor:
        """Return values (u, ...) of the rows from those of the members (n, ...), equal for equal members."""
        found = values.new_empty((len(self.rows), *values.shape[1:]))
        found[self.inverse] = values
        return found


def distinct(features: Tensor) -> Distinct:
    rows, inverse, counts = features.unique(dim=0, return_inverse=True, return_counts=True)
    return Distinct(rows, counts, inverse)


def squares(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield squared distances of x (n, d) and y (m, d) in the product form, `CHUNK` rows of x at a time.

    Each is (which rows, the squares (<= CHUNK, m), a bound of their error (<= CHUNK, m)), float64.
    """
    y = y.double()
    y_norms = y.square().sum(1)
    # Of both forms: d + 2 terms summed in any order, in size at most 2 (|x|^2 + |y|^2) together (Higham 2002, 3.1).
    unit = 4 * (x.shape[1] + 4) * 2.0**-53
    for start in range(0, len(x), CHUNK):
        part = x[start : start + CHUNK].double()
        norms = part.square().sum(1, keepdim=True) + y_norms
        yield slice(start, start + len(part)), torch.addmm(norms, part, y.T, alpha=-2), unit * norms


def distances(x: Tensor, y: Tensor, pairs: Sequence[Tensor]) -> Tensor:
    """Return the distances of pairs, (places in x (n, d), places in y (m, d)), by their differences in float64."""
    found = [np.zeros(0)]
    step = max(1, BLOCK // x.shape[1])
    for i, j in zip(*(places.split(step) for places in pairs), strict=True):
        difference = x[i].double().sub_(y[j]).numpy()
        # NumPy's sum of a row depends neither on the other rows nor on threads, so that equal pairs stay equal.
        found.append(np.square(difference, out=difference).sum(axis=1))
    return torch.from_numpy(np.sqrt(np.concatenate(found)))


def neighbour_distances(features: Tensor, *, most: int = K_DENSITY) -> Tensor:
    """Return distances of each sample to its 1st ... `most`-th neighbour among the others: (n, most), float64."""
    if len(features) <= most:
        raise ValueError(f"{most} neighbours need at least {most + 1} samples, got {len(features)}")
    points = distinct(features)
    rows, kept = points.rows, min(most + 1, len(points.rows))
    found = []
    for part, square, error in squares(rows, rows):
        # Those that may be among the nearest, the sample itself too.
        last = square.topk(kept, largest=False).values[:, -1:]
        near = (square - error <= last + error.amax(1, keepdim=True)).nonzero(as_tuple=True)
        exact = torch.full_like(square, math.inf)
        exact[near] = distances(rows[part], rows, near)
        nearest = exact.topk(kept, largest=False)
        reached = points.counts[nearest.indices].cumsum(1)  # members so near, the sample itself among them
        places = torch.arange(2, most + 2).repeat(len(reached), 1)
        found.append(nearest.values.gather(1, torch.searchsorted(reached, places)))
    return torch.cat(found)[points.inverse]


def precision_recall(fake: Tensor, real: Tensor, *, near_fakes: Tensor, near_reals: Tensor) -> dict[str, float]:
    """Compare features (n, d), (m, d); `near_...` are their distances to neighbours, (n, >= 5) and (m, >= 5).

    precision  share of fakes in the manifold of the reals     density   how many balls a fake lies in, over k
    recall     share of reals in the manifold of the fakes     coverage  share of reals with a fake in their ball
    """
    fakes, reals = distinct(fake), distinct(real)
    fake_radii = fakes.first(near_fakes[:, K_PRECISION - 1])[:, None]
    near = reals.first(near_reals)
    wide, narrow = near[:, K_PRECISION - 1], near[:, K_DENSITY - 1]
    in_balls, counted = 0, 0
    recalled = torch.zeros(len(reals.rows), dtype=torch.bool)
    covered = torch.zeros(len(reals.rows), dtype=torch.bool)
    for part, square, error in squares(fakes.rows, reals.rows):
        pairs = Pairs(fakes.rows[part], reals.rows, square, error)
        counts = fakes.counts[part]
        in_balls += int(counts[pairs.within(wide).any(dim=1)].sum())
        recalled |= pairs.within(fake_radii[part]).any(dim=0)
        inside = pairs.within(narrow, strictly=True)
        counted += int((inside * reals.counts).sum(1) @ counts)
        covered |= inside.any(dim=0)
    return {
        "precision": in_balls / len(fake),
        "recall": int(reals.counts[recalled].sum()) / len(real),
        "density": counted / (K_DENSITY * len(fake)),
        "coverage": int(reals.counts[covered].sum()) / len(real),
    }


@dataclass(frozen=True)
class Pairs:
    """All pairs of x (n, d) and y (m, d), to be compared by their distance."""

    x: Tensor
    y: Tensor
    square: Tensor  # (n, m), squared distances in the product form
    error: Tensor  # (n, m), a bound of their error

    def within(self, radii: Tensor, *, strictly: bool = False) -> Tensor:
        """Say which distances are at most the radii, or `strictly` below, (m,) or (n, 1): (n, m), bool."""
        excess = self.square - radii.square()
        found = excess < 0
        undecided = (excess.abs() <= self.error).nonzero(as_tuple=True)
        exact, radius = distances(self.x, self.y, undecided), radii.expand_as(excess)[undecided]
        found[undecided] = exact < radius if strictly else exact <= radius
        return found


def expected_density_and_coverage(fakes: int, reals: int, *, k: int = K_DENSITY) -> tuple[float, float]:
    """Return the expected density and coverage of samples of the real distribution itself, in any space of features.

    Density 1, coverage 1 - (M - 1) ... (M - k) / ((N + M - 1) ... (N + M - k)) of N fakes and M reals: a real has no
    fake in its ball where its k nearest among all others are real (Naeem et al. 2020, section 3.3).
    """
    uncovered = math.prod((reals - i) / (fakes + reals - i) for i in range(1, k + 1))
    return 1.0, 1 - uncovered
