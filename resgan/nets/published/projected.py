"""Blocks whose input must be projected before it can be added: other channels, another resolution."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from resgan.nets.blocks import Block

Projection = Literal["skip", "trunk"]


class ProjectedBlock(Block):
    """join(S(x), F(x)), with a projection S that has weights (He et al. 2015, equation 2).

    Then the plain arm owns fewer parameters, and where S stands decides what is compared:

    skip   as published: S(x) + F(x) | F(x), and the plain arm is without S
    trunk  S comes first in both arms, which then own the same: S(x) + F(S(x)) | F(S(x)), where F keeps the width, and
           the resolution too: a D shrinks after the join, and not in F
    """

    def __init__(
        self,
        width: int,  # channels of the output
        *,
        residual: bool,
        projection: Projection,
        make_projection: Callable[[], nn.Module] | None,  # None: the identity will do, in both
        **options,
    ) -> None:
        super().__init__(width, residual=residual, **options)
        self.on_trunk = projection == "trunk" and make_projection is not None
        self.trunk = make_projection() if self.on_trunk and make_projection else nn.Identity()
        self.shortcut = make_projection() if make_projection and residual and not self.on_trunk else nn.Identity()

    def skip(self, x: Tensor) -> Tensor:
        return self.shortcut(x)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(self.trunk(x), labels)
