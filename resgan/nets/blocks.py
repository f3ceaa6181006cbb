"""The switch: is a block's input added back to what the block makes of it?"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from resgan.nets.layers import NORMS, Norm, activation

Kind = Literal["preact", "postact"]
Join = Literal["sum", "scaled", "gated"]


def join(x: Tensor, y: Tensor, *, residual: bool, how: Join = "sum", gate: Tensor | None = None) -> Tensor:
    """Connect the trunk x with the branch y = F(x), both of one shape.

    sum     x + y             | y      (He et al. 2015, equation 1)
    scaled  (x + y) / sqrt 2  | y      (Karras et al. 2020: keeps the variance of independent terms)
    gated   x + g y           | g y    with a learned number g
    """
    y = y if gate is None else gate * y
    if not residual:
        return y
    return (x + y) * math.sqrt(0.5) if how == "scaled" else x + y


class Block(nn.Module):
    """Two layers at constant width. `residual` decides one thing, and it is decided in `join`.

    preact   join(x, W2 a(n(W1 a(n(x)))))      (He et al. 2016)
    postact  a(join(x, n(W2 a(n(W1 x)))))      (He et al. 2015, with the leaky ReLU of the rest of the network)
    """

    def __init__(
        self,
        width: int,  # channels or features, the same at both ends
        *,
        residual: bool,  # add the input back
        block: Kind = "preact",  # where norm and activation stand
        how: Join = "sum",  # how input and branch are connected
        norm: Norm = "none",
        layer: Callable[[int, int], nn.Module],  # layers.conv3x3, or layers.linear for points
    ) -> None:
        super().__init__()
        self.residual, self.kind = residual, block
        self.how: Join = how
        self.norm1, self.norm2 = NORMS[norm](width), NORMS[norm](width)
        self.layer1, self.layer2 = layer(width, width), layer(width, width)
        # Both arms own the gate, so that both own the same parameters.
        self.gate = nn.Parameter(torch.ones(())) if how == "gated" else None

    def branch(self, x: Tensor) -> Tensor:
        """F(x)."""
        if self.kind == "postact":
            y = activation(self.norm1(self.layer1(x)))
            return self.norm2(self.layer2(y))
        y = self.layer1(activation(self.norm1(x)))
        return self.layer2(activation(self.norm2(y)))

    def forward(self, x: Tensor) -> Tensor:
        y = join(x, self.branch(x), residual=self.residual, how=self.how, gate=self.gate)
        return activation(y) if self.kind == "postact" else y


LAST = "layer2.weight"  # closes a branch; the initialisation `zero_last` sets it to zero
