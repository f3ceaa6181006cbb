"""Common parts of published networks: blocks that project their input before adding it, and initialisation."""

from collections.abc import Callable

from torch import Tensor, nn

from resgan.nets import layers
from resgan.nets.blocks import Block, branches
from resgan.options.block import BlockOptions
from resgan.options.choices import Projection, PublishedInit


class ProjectedBlock(Block):
    """join(S(x), F(x)), with a projection S that has weights (He et al. 2015, equation 2).

    The place of S decides what is compared:

    skip   as published: S(x) + F(x) | F(x); the plain arm has no S, and so fewer parameters
    trunk  S comes first in both arms, which then own the same parameters: S(x) + F(S(x)) | F(S(x)), where F keeps the
           width and the resolution: D downsamples after the join, not in F
    """

    def __init__(
        self,
        width: int,  # channels of the output
        options: BlockOptions,
        *,
        projection: Projection,
        make_projection: Callable[[], nn.Module] | None,  # None: the identity, in both arms
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
    """Draw the weights of a published network, and add spectral normalisation where asked for."""
    scheme = published if init == "published" else init
    layers.initialise(net, seed=seed, network=network, scheme=scheme, branches=branches(net))
    if spectral:
        layers.add_spectral_norm(net)
