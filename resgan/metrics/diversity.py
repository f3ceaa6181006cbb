"""Diversity: how different samples are from one another, which falls to 0 when a generator collapses."""

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor

from resgan.base.images import as_uint8, to_float
from resgan.base.plain_data import PlainData
from resgan.metrics.cards import Reading
from resgan.metrics.score import Score

ALL_EQUAL = "needs real samples that differ; these are all equal"


def all_equal(samples: Tensor) -> bool:
    return all(bool((part == samples[:1]).all()) for part in samples.split(1024))  # ends at the first that differs


def total_variance(samples: Tensor) -> float:
    """Return the trace of the covariance of samples (N, ...), N >= 2; uint8 images are scaled to [-1, 1]."""
    return variance_of(len(samples), *sums_of(samples))


def sums_of(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sums of x (d,) and of |x|^2 (), in float64."""
    total, squares = torch.zeros(samples[0].numel(), dtype=torch.float64), 0.0
    for chunk in samples.split(2000):
        values = (to_float(chunk) if chunk.dtype == torch.uint8 else chunk).flatten(1).cpu().double()
        total += values.sum(0)
        squares += float(values.square().sum())
    return total, torch.tensor(squares, dtype=torch.float64)


def variance_of(count: int, total: Tensor, squares: Tensor) -> float:
    return (float(squares) - float(total.square().sum()) / count) / (count - 1)


class VarianceRatio(Score):
    """Total variance of the samples over that of real ones: 1 at best, near 0 after a collapse."""

    def __init__(self, real: Tensor, *, card: PlainData | None = None) -> None:
        super().__init__(card=card)
        self.real = real
        self.add_state("seen", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("squares", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.seen: Tensor
        self.total: Tensor
        self.squares: Tensor

    @property
    def readings(self) -> Mapping[str, Reading]:
        meaning = "variance of the samples over that of the real ones; near 0: collapsed"
        return {"variance_ratio": Reading(meaning=meaning)}

    @cached_property
    def real_variance(self) -> float:
        return total_variance(self.real)

    def unavailable_reason(self, *, fakes: int) -> str | None:
        """Say why the score cannot be computed; None where it can."""
        if min(fakes, len(self.real)) < 2:
            return f"needs 2 samples and 2 real ones; there are {fakes} and {len(self.real)}"
        return ALL_EQUAL if all_equal(self.real) else None

    def update(self, samples: Tensor) -> None:
        total, squares = sums_of(as_uint8(samples) if self.real.dtype == torch.uint8 else samples)
        self.seen = self.seen + len(samples)
        self.total = self.total + total.to(self.device)
        self.squares = self.squares + squares.to(self.device)

    def compute(self) -> Tensor:
        variance = variance_of(int(self.seen), self.total, self.squares)
        return torch.tensor(variance / self.real_variance, dtype=torch.float64)

    def ideal_scores(self) -> dict[str, float]:
        return {"variance_ratio": 1.0}
