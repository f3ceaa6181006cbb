"""Measure how an untrained discriminator of points depends on their distance to 0, for docs/results/gaussians.

    python scripts/length_at_start.py

Prints max |D(2x) - D(x)| over 500 normal points at seed 0, with pixel norm, for the plain and the residual arm.
"""

import torch

from resgan.nets.mlp import MlpDiscriminator
from resgan.options.block import BlockOptions

x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
for name, residual in (("plain", False), ("residual", True)):
    block = BlockOptions(residual=residual, join="sum", norm="pixel", norm_place="branch")
    disc = MlpDiscriminator(shape=(2,), block=block, blocks=4, width=64, seed=0)
    with torch.no_grad():
        print(f"{name:<10}{float((disc(2 * x) - disc(x)).abs().max()):.1e}")
