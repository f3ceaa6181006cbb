"""Multilayer perceptrons on the same blocks: the fully connected residual block."""

import math

from torch import Tensor, nn

from resgan.nets import layers
from resgan.nets.blocks import Join, Kind, branches, make_block


class Trunk(nn.Module):
    """Features (N, width_in) -> blocks -> (N, width_out)."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        *,
        residual: bool,  # the switch
        block: Kind,
        blocks: int,  # in all
        width: int,  # features
        norm: layers.Norm,
        join: Join,
        branch_scale: float = 1.0,
        layer_scale: float | None = None,
    ) -> None:
        super().__init__()
        options = {"residual": residual, "block": block, "how": join, "norm": norm}
        options |= {"branch_scale": branch_scale, "layer_scale": layer_scale}
        self.first = nn.Linear(width_in, width)
        self.blocks = nn.ModuleList(make_block(width, layer=layers.linear, **options) for _ in range(blocks))
        self.norm = layers.NORMS[norm](width)
        self.last = layers.linear(width, width_out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.last(layers.activation(self.norm(x)))


class MlpGenerator(nn.Module):
    """Latents (N, latent_dim) to points (N, 2), or to images (N, C, H, W), nominally in [-1, 1]."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],  # of one sample
        latent_dim: int,
        init: layers.Init,
        spectral: bool,  # spectral normalisation of every layer
        seed: int,  # of the weights
        **trunk,  # the options of `Trunk`
    ) -> None:
        super().__init__()
        self.shape = shape
        self.trunk = Trunk(latent_dim, math.prod(shape), **trunk)
        begin(self, self.trunk, network="generator", init=init, spectral=spectral, seed=seed)

    def forward(self, z: Tensor) -> Tensor:
        return self.trunk(z).view(-1, *self.shape)


class MlpDiscriminator(nn.Module):
    """Points (N, 2), or images (N, C, H, W), to logits (N,)."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],  # of one sample
        init: layers.Init,
        spectral: bool,  # spectral normalisation of every layer
        seed: int,  # of the weights
        **trunk,  # the options of `Trunk`
    ) -> None:
        super().__init__()
        self.trunk = Trunk(math.prod(shape), 1, **trunk)
        begin(self, self.trunk, network="disc", init=init, spectral=spectral, seed=seed)

    def forward(self, samples: Tensor) -> Tensor:
        return self.trunk(samples.flatten(1)).squeeze(1)  # (N,)


def begin(net: nn.Module, trunk: Trunk, *, network: str, init: layers.Init, spectral: bool, seed: int) -> None:
    """The weights of a network whose trunk this is."""
    layers.initialise(net, seed=seed, network=network, scheme=init, branches=branches(net))
    layers.draw_bias(trunk.first, seed=seed, network=network)
    if spectral:
        layers.add_spectral_norm(net)
