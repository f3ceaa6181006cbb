"""The Frechet distance between two sets of features, as if both were Gaussian.

    d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))

Dowson and Landau 1982, "The Frechet distance between multivariate normal distributions", equation 4;
used on features of images by Heusel et al. 2017, "GANs trained by a two time-scale update rule", equation 6.
Everything here is float64: a covariance or an eigenvalue in float32 moves the distance by percents.
"""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from resgan.base.device import has_float64


def symmetric_root(matrix: Tensor) -> Tensor:
    """R with R R = matrix and R = R^T, for a symmetric positive semi-definite matrix (d, d)."""
    values, vectors = torch.linalg.eigh(matrix)
    # A covariance of fewer samples than dimensions has zero eigenvalues, which rounding makes negative.
    return vectors * values.clamp(min=0).sqrt() @ vectors.T


@dataclass(frozen=True, eq=False, kw_only=True)
class Moments:
    """Mean and covariance of a set of features: all that a Frechet distance uses."""

    count: int  # samples
    mean: Tensor  # (d,) float64
    cov: Tensor  # (d, d) float64, unbiased: divided by count - 1

    @cached_property
    def root(self) -> Tensor:
        """Symmetric root of the covariance (d, d); a reference computes it once, however often it is used."""
        return symmetric_root(self.cov)


def _zero() -> Tensor:
    return torch.zeros((), dtype=torch.float64)  # has no width or device yet: takes those of the first batch


@dataclass(eq=False)
class MomentSums:
    """Running sums over batches of any size; sums over shards add up to the sums over the whole."""

    count: int = 0
    total: Tensor = field(default_factory=_zero)  # sum of x, (d,) float64
    products: Tensor = field(default_factory=_zero)  # sum of x x^T, (d, d) float64

    def add(self, features: Tensor) -> None:
        """Count the rows of `features` (N, d), of any float type."""
        if features.ndim != 2:
            raise ValueError(f"features must have the shape (N, d), got {tuple(features.shape)}")
        x = features.detach()
        x = x.double() if has_float64(x.device.type) else x.cpu().double()
        self.count += len(x)
        self.total = self.total + x.sum(0)
        self.products = self.products + x.T @ x

    def merge(self, other: "MomentSums") -> None:
        """Add the sums of another shard, such as another process's."""
        self.count += other.count
        self.total = self.total + other.total
        self.products = self.products + other.products

    def moments(self) -> Moments:
        """Mean and unbiased covariance; ValueError for fewer than 2 samples or non-finite features."""
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 samples, got {self.count}")
        if not (self.total.isfinite().all() and self.products.isfinite().all()):
            raise ValueError("the features are not finite: at least one sample holds NaN or infinity")
        mean = self.total / self.count
        cov = (self.products - self.count * torch.outer(mean, mean)) / (self.count - 1)
        return Moments(count=self.count, mean=mean, cov=cov)


def frechet_distance(fake: Moments, real: Moments) -> float:
    """Return the squared Frechet distance (the module's equation), 0 or more, in squared units of the features.

    (S1 S2)^(1/2) has the eigenvalues of the symmetric (R S1 R)^(1/2) with R R = S2: no complex numbers arise, and R is
    the reference's, computed once. ValueError where the widths differ.
    """
    if fake.mean.shape != real.mean.shape:
        raise ValueError(f"features of different widths: fake {len(fake.mean)}, real {len(real.mean)}")
    mean, cov = fake.mean.to(real.mean.device), fake.cov.to(real.mean.device)
    eigenvalues = torch.linalg.eigvalsh(real.root @ cov @ real.root)
    trace_root = eigenvalues.clamp(min=0).sqrt().sum()
    distance = (mean - real.mean).square().sum() + cov.trace() + real.cov.trace() - 2 * trace_root
    return max(distance.item(), 0.0)  # equal moments may come out at -1e-14 times the trace


def floor(real: Moments, *, fakes: float, exact: bool = False) -> float:
    """Return the score of a perfect generator: the distance of two samples (N fakes, M reals) of one distribution.

        (1/N + 1/M) [tr S + 1/2 sum_ij l_i l_j (1 + d_ij) / (l_i + l_j)],   l the eigenvalues of S, d_ij = 1 where i = j

    The first term is the noise of the means, the second that of the covariances of Gaussian features, to second order:
    d^2(S, S + E) is sum_ij E_ij^2 / (2 (l_i + l_j)), and E[E_ij^2] is l_i l_j (1 + d_ij) (1/N + 1/M) (Wishart).
    This is the leading order, for N and M well above the width. `exact`: the reference is the whole distribution, so
    that 1/M is no noise.
    """
    values = torch.linalg.eigvalsh(real.cov).clamp(min=0)
    sums = (values[:, None] + values).clamp(min=torch.finfo(values.dtype).tiny)  # 0 / 0 is 0 here
    pairs = values[:, None] * values / sums
    noise = values.sum() + (pairs.sum() + pairs.trace()) / 2
    return float(noise * (1 / fakes + (0 if exact else 1 / real.count)))


def at_infinity(fake: Tensor, real: Moments, *, sizes: int = 15) -> float:
    """Extrapolate the distance to infinitely many fakes: a line through distances over 1/N, where 1/N is 0.

    The line is fitted to `sizes` random subsets of the features (N, d), from a tenth of them (but at most 5,000) to all
    (Chong and Forsyth 2020, "Effectively unbiased FID and Inception score"). The noise of the reference, 1/M, remains.
    The result may fall below 0.
    """
    least = min(5000, max(len(fake) // 10, 2))
    counts = torch.linspace(least, len(fake), sizes).round().long().tolist()
    generator = torch.Generator().manual_seed(0)
    distances = []
    for count in counts:
        sums = MomentSums()
        sums.add(fake[torch.randperm(len(fake), generator=generator)[:count]])
        distances.append(frechet_distance(sums.moments(), real))
    x = 1 / torch.tensor(counts, dtype=torch.float64)
    y = torch.tensor(distances, dtype=torch.float64)
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return float(y.mean() - slope * x.mean())
