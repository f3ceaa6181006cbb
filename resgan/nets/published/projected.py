"""The common part of networks of papers: blocks whose input must be projected before it can be added, and the start."""

from collections.abc import Callable

from torch import Tensor, nn

from resgan.nets import layers
from resgan.nets.blocks import Block, branches
from resgan.options.block import BlockOptions
from resgan.options.choices import Projection, PublishedInit


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
        options: BlockOptions,
        *,
        projection: Projection,
        make_projection: Callable[[], nn.Module] | None,  # None: the identity will do, in both
    ) -> None:
        super().__init__(width, options)
        self.on_trunk = projection == "trunk" and make_projection is not None
        self.trunk = make_projection() if self.on_trunk and make_projection else nn.Identity()
        self.shortcut = (
            make_projection() if make_projection and options.residual and not self.on_trunk else nn.Identity()
        )

    def skip(self, x: Tensor) -> Tensor:
        return self.shortcut(x)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(self.trunk(x), labels)


def init_weights(
    net: nn.Module,
    *,
    network: str,  # "generator" or "disc"
    init: PublishedInit,
    published: layers.Scheme,  # the scheme of init="published"
    spectral: bool,
    seed: int,
) -> None:
    """Draw the weights of a network of a paper, and normalise them where it is to be spectral."""
    scheme = published if init == "published" else init
    layers.initialise(net, seed=seed, network=network, scheme=scheme, branches=branches(net))
    if spectral:
        layers.add_spectral_norm(net)
