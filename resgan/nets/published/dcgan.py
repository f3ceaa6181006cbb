"""DCGAN (Radford et al. 2016), with the layers of pytorch-gan-collections, whose scores on CIFAR-10 are known.

Published without skips: its plain arm is the original. With `residual`, a projection of each layer's input is added to
the layer's output.
"""

import itertools
import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resgan.nets import layers
from resgan.nets.published.projected import ProjectedBlock, init_weights
from resgan.nets.stages import square_side
from resgan.options.block import BlockOptions
from resgan.options.choices import Norm, Projection, PublishedInit

HALVINGS = 4  # from the image to the base of either network
SHARES = (1, 2, 4, 8)  # divisors of the channels of the widest stage, from the lowest resolution up


class Projected(nn.Module):
    """The projection S: a 1x1 convolution without a bias, after upsampling or before downsampling."""

    def __init__(self, width_in: int, width: int, *, scale: Literal["up", "down", "same"]) -> None:
        super().__init__()
        self.scale = scale
        self.layer = nn.Conv2d(width_in, width, kernel_size=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(layers.upsample(x) if self.scale == "up" else x)
        return layers.downsample(x) if self.scale == "down" else x


class UpBlock(ProjectedBlock):
    """relu(join(S(x), n(W x))), with a transposed 4x4 convolution W of stride 2."""

    branch_layers = ("layer",)

    def __init__(self, width_in: int, width: int, options: BlockOptions, *, projection: Projection) -> None:
        super().__init__(
            width,
            options,
            projection=projection,
            make_projection=lambda: Projected(width_in, width, scale="up"),
        )
        self.layer: nn.Module = (
            nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
            if self.on_trunk
            else nn.ConvTranspose2d(width_in, width, kernel_size=4, stride=2, padding=1, bias=False)
        )
        self.norm = layers.NORMS[options.norm](width)

    def branch(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.norm(self.layer(x))

    def after(self, y: Tensor) -> Tensor:
        return F.relu(y)


class DownBlock(ProjectedBlock):
    """join(S(x), n(a(W x))), with a 5x5 convolution W of stride 2 and a leaky ReLU."""

    branch_layers = ("layer",)

    def __init__(self, width_in: int, width: int, options: BlockOptions, *, projection: Projection) -> None:
        on_trunk = projection == "trunk"
        super().__init__(
            width,
            options,
            projection=projection,
            make_projection=lambda: Projected(width_in, width, scale="same" if on_trunk else "down"),
        )
        width_in, stride = (width, 1) if on_trunk else (width_in, 2)
        self.layer = nn.Conv2d(width_in, width, kernel_size=5, stride=stride, padding=2, bias=False)
        self.norm = layers.NORMS[options.norm](width)

    def branch(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.norm(layers.activation(self.layer(x)))

    def after(self, y: Tensor) -> Tensor:
        return layers.downsample(y) if self.on_trunk else y


def base_and_channels(width: int, size: int) -> tuple[int, list[int]]:
    """Return (pixels at the base, channels from the base up). Raises ValueError where they do not divide."""
    if size % 2**HALVINGS:
        raise ValueError(f"name=dcgan: made for images of a multiple of 16 pixels; these have {size}")
    if width % SHARES[-1]:
        raise ValueError(f"width={width}: must be a multiple of {SHARES[-1]}")
    return size // 2**HALVINGS, [width // share for share in SHARES]


class DcganGenerator(nn.Module):
    """Latents (N, latent_dim) to images (N, C, H, W) in (-1, 1)."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],  # of an image: channels, height, width
        latent_dim: int,
        residual: bool,  # the switch
        projection: Projection,
        width: int,  # channels at the base
        norm: Norm,
        spectral: bool,
        init: PublishedInit,
        seed: int,  # of the weights
        conditional: Literal["none"] = "none",
        classes: int = 0,
    ) -> None:
        super().__init__()
        channels, height = shape[0], square_side(shape)
        bottom, widths = base_and_channels(width, height)
        options = BlockOptions(residual=residual, join="sum", norm=norm)
        self.base_shape = (widths[0], bottom, bottom)
        self.base = layers.unbiased(latent_dim, math.prod(self.base_shape))
        self.base_norm = layers.NORMS[norm](widths[0])
        self.blocks = nn.ModuleList(
            UpBlock(below, here, options, projection=projection) for below, here in itertools.pairwise(widths)
        )
        self.to_image = nn.ConvTranspose2d(widths[-1], channels, kernel_size=4, stride=2, padding=1, bias=False)
        init_weights(self, network="generator", init=init, published=normal, spectral=spectral, seed=seed)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.base(z).view(-1, *self.base_shape)  # (N, C, H / 16, W / 16)
        x = F.relu(self.base_norm(x))
        for block in self.blocks:
            x = block(x)  # (N, C / 2, 2 H, 2 W)
        return torch.tanh(self.to_image(x))  # (N, channels, H, W)


class DcganDiscriminator(nn.Module):
    """Images (N, C, H, W) in [-1, 1] to logits (N,)."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],  # of an image: channels, height, width
        residual: bool,  # the switch
        projection: Projection,
        width: int,  # channels of the last layer
        norm: Norm,  # of all layers except the first
        spectral: bool,
        init: PublishedInit,
        seed: int,  # of the weights
        conditional: Literal["none"] = "none",
        classes: int = 0,
    ) -> None:
        super().__init__()
        channels, height = shape[0], square_side(shape)
        bottom, widths = base_and_channels(width, height)
        widths = widths[::-1]
        norms: list[Norm] = ["none", norm, norm, norm]
        self.blocks = nn.ModuleList(
            DownBlock(above, here, BlockOptions(residual=residual, join="sum", norm=n), projection=projection)
            for above, here, n in zip([channels, *widths], widths, norms, strict=False)
        )
        self.to_logit = layers.linear(widths[-1] * bottom**2, 1)
        init_weights(self, network="disc", init=init, published=normal, spectral=spectral, seed=seed)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        x = images
        for block in self.blocks:
            x = block(x)  # (N, 2 C, H / 2, W / 2)
        return self.to_logit(x.flatten(1)).squeeze(1)  # (N,)


def normal(name: str, weight: Tensor, generator: torch.Generator) -> None:
    """Draw from a normal of standard deviation 0.02 (Radford et al. 2016, section 4)."""
    nn.init.normal_(weight, std=0.02, generator=generator)
