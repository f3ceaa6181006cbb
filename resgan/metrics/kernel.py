"""The kernel distance: squared maximum mean discrepancy with a polynomial kernel, unbiased at any number of samples.

Binkowski et al. 2018, "Demystifying MMD GANs", section 4; on Inception's features it is called KID.
"""

import torch
from torch import Tensor

SUBSETS, SUBSET_SIZE = 100, 1000
SMALL_SIZES = (500, 200, 100, 50, 20, 10)  # of subsets where there are too few samples for the usual ones


def small_subset_size(count: int) -> int:
    """Return the largest of SMALL_SIZES that `count` samples hold twice, so that subsets differ. Raises ValueError."""
    for size in SMALL_SIZES:
        if 2 * size <= count:
            return size
    raise ValueError(f"small subsets need at least {2 * min(SMALL_SIZES)} samples of each side, got {count}")


def kernel_distance(
    fake: Tensor, real: Tensor, *, subsets: int = SUBSETS, size: int = SUBSET_SIZE
) -> tuple[float, float]:
    """Return mean and standard deviation, over subsets, of the distance of features (N, d) and (M, d).

    Each subset takes `size` of either side without replacement, always the same ones. The mean has expectation 0 for
    equal distributions, and may fall below. The standard deviation divides by `subsets`. ValueError for fewer samples
    than a subset takes, or a subset of fewer than 2.
    """
    if size < 2 or min(len(fake), len(real)) < size:
        raise ValueError(
            f"a subset takes {size} samples of each side, at least 2; there are {len(fake)} and {len(real)}"
        )
    generator = torch.Generator().manual_seed(0)
    values = []
    for _ in range(subsets):
        x = fake[torch.randperm(len(fake), generator=generator)[:size]]
        y = real[torch.randperm(len(real), generator=generator)[:size]]
        values.append(squared_mmd(x.double(), y.double()))
    found = torch.tensor(values, dtype=torch.float64)
    return float(found.mean()), float(found.std(correction=0))


def squared_mmd(x: Tensor, y: Tensor) -> float:
    """Return the unbiased squared MMD of x (n, d) and y (n, d).

    mean k(x, x') + mean k(y, y') - 2 mean k(x, y), over x != x', y != y', with k(x, y) = (x y / d + 1)^3.
    """
    n = len(x)
    same = sum(kernel.sum() - kernel.trace() for kernel in (polynomial(x, x), polynomial(y, y)))
    return float(same / (n * (n - 1)) - 2 * polynomial(x, y).mean())


def polynomial(x: Tensor, y: Tensor) -> Tensor:
    """Return the kernel matrix (n, m)."""
    return (x @ y.T / x.shape[1] + 1) ** 3
