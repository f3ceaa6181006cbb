"""Multilayer perceptrons on the same blocks: the fully connected residual block."""

import math

from torch import Tensor, nn

from resgan.nets import layers
from resgan.nets.blocks import BLOCKS, Join, Kind, branches


class Trunk(nn.Module):
    """Features (N, width_in) -> blocks -> (N, width_out)."""

    def __init__(
        self, width_in: int, width: int, width_out: int, *, block: Kind, blocks: int, norm: layers.Norm, **options
    ) -> None:
        super().__init__()
        self.first = nn.Linear(width_in, width)
        self.blocks = nn.ModuleList(
            BLOCKS[block](width, layer=layers.linear, norm=norm, **options) for _ in range(blocks)
        )
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
        residual: bool,  # the switch
        block: Kind,
        blocks: int,  # in all
        width: int,  # features
        norm: layers.Norm,
        spectral: bool,
        join: Join,
        init: layers.Init,
        seed: int,
        branch_scale: float = 1.0,
        layer_scale: float | None = None,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.trunk = Trunk(
            latent_dim,
            width,
            math.prod(shape),
            blocks=blocks,
            norm=norm,
            residual=residual,
            block=block,
            how=join,
            branch_scale=branch_scale,
            layer_scale=layer_scale,
        )
        layers.initialise(self, seed=seed, network="generator", scheme=init, branches=branches(self))
        layers.draw_bias(self.trunk.first, seed=seed, network="generator")
        if spectral:
            layers.add_spectral_norm(self)

    def forward(self, z: Tensor) -> Tensor:
        return self.trunk(z).view(-1, *self.shape)


class MlpDiscriminator(nn.Module):
    """Points (N, 2), or images (N, C, H, W), to logits (N,)."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],  # of one sample
        residual: bool,  # the switch
        block: Kind,
        blocks: int,  # in all
        width: int,  # features
        norm: layers.Norm,
        spectral: bool,
        join: Join,
        init: layers.Init,
        seed: int,
        branch_scale: float = 1.0,
        layer_scale: float | None = None,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(
            math.prod(shape),
            width,
            1,
            blocks=blocks,
            norm=norm,
            residual=residual,
            block=block,
            how=join,
            branch_scale=branch_scale,
            layer_scale=layer_scale,
        )
        layers.initialise(self, seed=seed, network="disc", scheme=init, branches=branches(self))
        layers.draw_bias(self.trunk.first, seed=seed, network="disc")
        if spectral:
            layers.add_spectral_norm(self)

    def forward(self, samples: Tensor) -> Tensor:
        return self.trunk(samples.flatten(1)).squeeze(1)  # (N,)
