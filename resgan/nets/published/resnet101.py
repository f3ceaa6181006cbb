"""The 101-layer ResNet of WGAN-GP (Gulrajani et al. 2017, figure 2), by the authors' code (gan_64x64.py)."""

import math
from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resgan.nets import layers
from resgan.nets.published.projected import ProjectedBlock, init_weights
from resgan.nets.published.resnet import Resampling, glorot
from resgan.nets.stages import square_side
from resgan.options.block import BlockOptions
from resgan.options.choices import Norm, Projection, PublishedInit

SIZE = 64  # pixels
BRANCH_SCALE = 0.3
# From the lowest resolution up: channels in units of width / 2, and the number of blocks that keep the resolution.
STAGES = ((16, 6), (8, 6), (4, 6), (2, 6), (1, 5))


class Subpixel(nn.Module):
    """A 1x1 convolution to four times the channels, which become 2 x 2 pixels (Shi et al. 2016)."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.layer = layers.conv1x1(width_in, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.layer(x), 2)


class StridedConv(nn.Conv2d):
    """A convolution of stride 2 whose padding, where it has one, is below and to the right, as in TensorFlow."""

    def __init__(self, width_in: int, width: int, kernel_size: int = 3) -> None:
        super().__init__(width_in, width, kernel_size, stride=2)

    def forward(self, input: Tensor) -> Tensor:
        if self.kernel_size == (1, 1):  # subsample first: with the stride, some widths crash in channels_last
            return F.conv2d(input[..., ::2, ::2], self.weight, self.bias)
        return super().forward(F.pad(input, (0, 1, 0, 1)))


class StridedConvTranspose(nn.ConvTranspose2d):
    """The transpose of `StridedConv`."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__(width_in, width, kernel_size=3, stride=2)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        return super().forward(input)[..., :-1, :-1]


class Bottleneck101(ProjectedBlock):
    """join(S(x), 0.3 n(W3 a(W2 a(W1 a(x))))), a = ReLU: 1x1 to half the width, 3x3, which resamples, and 1x1."""

    branch_layers = ("layer1", "layer2", "layer3")

    def __init__(
        self,
        width_in: int,
        width: int,
        options: BlockOptions,
        *,
        projection: Projection,
        scale: Resampling,
    ) -> None:
        on_trunk = projection == "trunk"

        def make_projection() -> nn.Module:
            if scale == "up":
                return Subpixel(width_in, width)
            return layers.conv1x1(width_in, width) if on_trunk else StridedConv(width_in, width, kernel_size=1)

        super().__init__(
            width,
            options,
            projection=projection,
            make_projection=None if scale == "same" else make_projection,
        )
        self.scale = scale
        width_in = width if self.on_trunk else width_in
        make = {"up": StridedConvTranspose, "down": StridedConv, "same": layers.conv3x3}[
            "same" if self.on_trunk else scale
        ]
        self.layer1 = layers.conv1x1(width_in, width_in // 2)
        self.layer2 = make(width_in // 2, width // 2)
        self.layer3 = nn.Conv2d(width // 2, width, kernel_size=1, bias=False)
        self.norm = layers.NORMS[options.norm](width)

    def branch(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        y = self.layer1(F.relu(x))
        y = self.layer2(F.relu(y))
        return self.norm(self.layer3(F.relu(y)))

    def after(self, y: Tensor) -> Tensor:
        return layers.downsample(y) if self.scale == "down" and self.on_trunk else y


def stage_plan(width: int, size: int) -> list[tuple[int, int]]:
    """Return (channels, blocks) of each stage, from the lowest resolution up. Raises ValueError."""
    if size != SIZE:
        raise ValueError(f"name=resnet101: made for images of {SIZE} pixels; these have {size}")
    if width % 4:
        raise ValueError(f"width={width}: must be a multiple of 4")  # half of it at 64 pixels, and half of that inside
    return [(width * halves // 2, count) for halves, count in STAGES]


def stack(
    stages: list[tuple[int, int]], options: BlockOptions, *, projection: Projection, scale: Resampling
) -> Iterator[Bottleneck101]:
    """Yield the blocks of all stages, with a resampling block between each two stages."""
    for k, (width, count) in enumerate(stages):
        if k:
            yield Bottleneck101(stages[k - 1][0], width, options, projection=projection, scale=scale)
        for _ in range(count):
            yield Bottleneck101(width, width, options, projection=projection, scale="same")


class Resnet101Generator(nn.Module):
    """Latents (N, latent_dim) to images (N, C, 64, 64) in (-1, 1)."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],  # of an image: channels, height, width
        latent_dim: int,
        residual: bool,  # the switch
        projection: Projection,
        width: int,  # channels at 32 pixels; 64 as published
        norm: Norm,
        spectral: bool,
        init: PublishedInit,
        seed: int,  # of the weights
        conditional: Literal["none"] = "none",
        classes: int = 0,
    ) -> None:
        super().__init__()
        channels, height = shape[0], square_side(shape)
        stages = stage_plan(width, height)
        options = BlockOptions(residual=residual, join="sum", norm=norm, branch_scale=BRANCH_SCALE)
        self.base_shape = (stages[0][0], 4, 4)
        self.base = layers.linear(latent_dim, math.prod(self.base_shape))
        self.blocks = nn.ModuleList(stack(stages, options, projection=projection, scale="up"))
        self.to_image = layers.conv1x1(stages[-1][0], channels)
        init_weights(self, network="generator", init=init, published=glorot, spectral=spectral, seed=seed)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.base(z).view(-1, *self.base_shape)  # (N, C, 4, 4)
        for block in self.blocks:
            x = block(x)
        return torch.tanh(self.to_image(x) / 5)  # (N, channels, 64, 64)


class Resnet101Discriminator(nn.Module):
    """Images (N, C, 64, 64) in [-1, 1] to logits (N,)."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],  # of an image: channels, height, width
        residual: bool,  # the switch
        projection: Projection,
        width: int,  # channels at 32 pixels; 64 as published
        norm: Norm,
        spectral: bool,
        init: PublishedInit,
        seed: int,  # of the weights
        conditional: Literal["none"] = "none",
        classes: int = 0,
    ) -> None:
        super().__init__()
        channels, height = shape[0], square_side(shape)
        stages = stage_plan(width, height)[::-1]
        options = BlockOptions(residual=residual, join="sum", norm=norm, branch_scale=BRANCH_SCALE)
        self.from_image = layers.conv1x1(channels, stages[0][0])
        self.blocks = nn.ModuleList(stack(stages, options, projection=projection, scale="down"))
        self.to_logit = layers.linear(stages[-1][0] * 4 * 4, 1)
        init_weights(self, network="disc", init=init, published=glorot, spectral=spectral, seed=seed)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.from_image(images)
        for block in self.blocks:
            x = block(x)
        return self.to_logit(x.flatten(1)).squeeze(1) / 5  # (N,)
