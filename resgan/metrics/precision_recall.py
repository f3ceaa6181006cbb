"""Precision and density (do fakes lie where reals lie?), recall and coverage (do reals lie where fakes lie?).

A set's manifold is the union of balls around its members, each as large as the distance to its k-th neighbour.

precision, recall  Kynkaanniemi et al. 2019, "Improved precision and recall metric", equations 1 to 3: within is <=
density, coverage  Naeem et al. 2020, "Reliable fidelity and diversity metrics", equations 3 and 6: within is <

Distances are float64: in float32 the usual form |x|^2 - 2 x y + |y|^2 loses the small ones.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

K_PRECISION, K_DENSITY = 3, 5  # the authors' own choices
CHUNK = 2048  # rows of a matrix of distances that exist at one time


def distances(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """Yield rows of the distance matrix of x (n, d) and y (m, d), `CHUNK` at a time: (<= CHUNK, m), float64."""
    y = y.double()
    for rows in x.split(CHUNK):
        yield torch.cdist(rows.double(), y, compute_mode="use_mm_for_euclid_dist")


def neighbour_distances(features: Tensor, *, most: int = K_DENSITY) -> Tensor:
    """Return distances of each sample to its 1st ... `most`-th neighbour among the others: (n, most), float64."""
    if len(features) <= most:
        raise ValueError(f"{most} neighbours need at least {most + 1} samples, got {len(features)}")
    # The nearest of all is the sample itself, at 0.
    return torch.cat([rows.topk(most + 1, largest=False).values[:, 1:] for rows in distances(features, features)])


def precision_recall(fake: Tensor, real: Tensor, *, near_fakes: Tensor, near_reals: Tensor) -> dict[str, float]:
    """Compare features (n, d), (m, d); `near_...` are their distances to neighbours, (n, >= 5) and (m, >= 5).

    precision  share of fakes in the manifold of the reals     density   how many balls a fake lies in, over k
    recall     share of reals in the manifold of the fakes     coverage  share of reals with a fake in their ball
    """
    fake_radii = near_fakes[:, K_PRECISION - 1]
    wide, narrow = near_reals[:, K_PRECISION - 1], near_reals[:, K_DENSITY - 1]
    in_balls, counted = 0, 0
    recalled = torch.zeros(len(real), dtype=torch.bool)
    covered = torch.zeros(len(real), dtype=torch.bool)
    for rows, radii in zip(distances(fake, real), fake_radii.split(CHUNK), strict=True):  # (chunk, m)
        in_balls += int((rows <= wide).any(dim=1).sum())
        recalled |= (rows <= radii[:, None]).any(dim=0)
        within = rows < narrow
        counted += int(within.sum())
        covered |= within.any(dim=0)
    return {
        "precision": in_balls / len(fake),
        "recall": float(recalled.double().mean()),
        "density": counted / (K_DENSITY * len(fake)),
        "coverage": float(covered.double().mean()),
    }


def expected_density_and_coverage(fakes: int, reals: int, *, k: int = K_DENSITY) -> tuple[float, float]:
    """Return the expected density and coverage of samples of the real distribution itself, in any space of features.

    Density 1, coverage 1 - (M - 1) ... (M - k) / ((N + M - 1) ... (N + M - k)) of N fakes and M reals: a real has no
    fake in its ball where its k nearest among all others are real (Naeem et al. 2020, section 3.3).
    """
    uncovered = math.prod((reals - i) / (fakes + reals - i) for i in range(1, k + 1))
    return 1.0, 1 - uncovered
