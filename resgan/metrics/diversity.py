"""How different samples are from one another: what falls to nothing when a generator collapses."""

import torch
from torch import Tensor

from resgan.base.images import to_float


def total_variance(samples: Tensor) -> float:
    """Trace of the covariance of samples (N, ...), uint8 or floats, N >= 2; pictures count on [-1, 1]."""
    count = len(samples)
    total, squares = torch.zeros(samples[0].numel(), dtype=torch.float64), 0.0
    for chunk in samples.split(2000):
        values = (to_float(chunk) if chunk.dtype == torch.uint8 else chunk).flatten(1).double()
        total += values.sum(0)
        squares += float(values.square().sum())
    return (squares - float(total.square().sum()) / count) / (count - 1)
