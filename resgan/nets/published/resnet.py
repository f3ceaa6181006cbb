"""The ResNet of WGAN-GP (Gulrajani et al. 2017, appendix F) and SNGAN (Miyato et al. 2018, appendix B.4).

Their networks for 32 pixels differ in width, and in D in pooling and spectral normalisation.
"""

import itertools
import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resgan.nets import conditioning, layers
from resgan.nets.published.projected import ProjectedBlock, init_weights
from resgan.nets.stages import square_side
from resgan.options.block import BlockOptions
from resgan.options.choices import (
    DiscConditioning,
    GeneratorConditioning,
    Norm,
    Pool,
    Projection,
    PublishedInit,
    Upsample,
)

Resampling = Literal["up", "down", "same"]

# Pixels: published channels of the widest stage, and for each stage the number by which they are divided.
# G from the base up, D from the first block down.
GENERATORS = {32: (256, (1, 1, 1, 1)), 48: (512, (1, 2, 4, 8)), 64: (1024, (1, 2, 4, 8, 16))}
DISCRIMINATORS = {32: (128, (1, 1, 1, 1)), 48: (1024, (16, 8, 4, 2, 1)), 64: (1024, (16, 8, 4, 2, 1))}
HALVINGS = {32: 2, 48: 4, 64: 5}  # the number of blocks of D that downsample


def stage_channels(table: dict[int, tuple[int, tuple[int, ...]]], size: int, width: int | None) -> list[int]:
    """Return the channels of each stage. Raises ValueError for unpublished sizes and widths that do not divide."""
    if size not in table:
        raise ValueError(f"name=resnet: made for images of {', '.join(map(str, table))} pixels; these have {size}")
    published, shares = table[size]
    widest = width or published
    if widest % max(shares):
        raise ValueError(f"width={widest}: at {size} pixels it must be a multiple of {max(shares)}")
    return [widest // share for share in shares]


def grow(x: Tensor, upsample: Upsample) -> Tensor:
    """Upsample to twice the size."""
    return F.interpolate(x, scale_factor=2, mode=upsample, align_corners=False if upsample == "bilinear" else None)


class Shortcut(nn.Module):
    """The projection S: a 1x1 convolution, with the resampling of the block.

    As published, it comes after upsampling and before downsampling (D's first block downsamples first). It is computed
    at the lower resolution, where it is the same function: new pixels are weighted means of old ones.
    """

    fused = True  # False: in the published order

    def __init__(
        self, width_in: int, width: int, *, scale: Resampling, upsample: Upsample, norm: Norm, first: bool
    ) -> None:
        super().__init__()
        self.scale, self.first = scale, first
        self.upsample: Upsample = upsample
        self.norm = layers.NORMS[norm](width_in)
        self.layer = layers.conv1x1(width_in, width)

    def forward(self, x: Tensor) -> Tensor:
        match self.scale, self.first, self.fused:
            case "up", _, True:
                return grow(self.layer(self.norm(x)), self.upsample)
            case "up", _, False:
                return self.layer(self.norm(grow(x, self.upsample)))
            case "down", True, _:
                return self.layer(self.norm(layers.downsample(x)))
            case "down", False, True:
                return self.layer(layers.downsample(self.norm(x)))
            case "down", False, False:
                return layers.downsample(self.layer(self.norm(x)))
            case _:
                return self.layer(self.norm(x))


class ResnetBlock(ProjectedBlock):
    """join(S(x), W2 a(n(W1 a(n(x))))), a = ReLU: upsamples before W1, downsamples after W2."""

    fused = True  # False: resampling and convolution one after the other

    def __init__(
        self,
        width_in: int,
        width: int,
        options: BlockOptions,
        *,
        projection: Projection,
        scale: Resampling,
        upsample: Upsample = "nearest",
        hidden: int | None = None,  # channels between W1 and W2; None: those of the output
        first: bool = False,  # of D: its input is the image, which is neither normalised nor rectified
        skip_norm: Norm = "none",  # of the projection: for a D without spectral normalisation
        classes: int = 0,  # more than 0: the norms have a gain and a bias for each class
    ) -> None:
        on_trunk = projection == "trunk"

        def make_projection() -> nn.Module:
            where = "same" if on_trunk and scale == "down" else scale
            return Shortcut(width_in, width, scale=where, upsample=upsample, norm=skip_norm, first=first)

        projects = width_in != width or scale != "same"
        super().__init__(width, options, projection=projection, make_projection=make_projection if projects else None)
        self.scale = scale
        self.upsample: Upsample = upsample
        self.first = first and not self.on_trunk
        width_in, hidden = (width if self.on_trunk else width_in), hidden or width
        self.norm1 = nn.Identity() if self.first else layers.make_norm(options.norm, width_in, classes=classes)
        self.norm2 = layers.make_norm(options.norm, hidden, classes=classes)
        self.layer1, self.layer2 = layers.conv3x3(width_in, hidden), layers.conv3x3(hidden, width)

    def branch(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        y = x if self.first else F.relu(layers.normalise(self.norm1, x, labels))
        y = self.upsampled_layer1(y) if self.scale == "up" and not self.on_trunk else self.layer1(y)
        y = F.relu(layers.normalise(self.norm2, y, labels))
        return self.downsampled_layer2(y) if self.scale == "down" and not self.on_trunk else self.layer2(y)

    def upsampled_layer1(self, y: Tensor) -> Tensor:
        """Upsample y to twice the size, then apply W1."""
        fuses = self.fused and self.upsample == "nearest"
        return layers.upsampled_conv(y, self.layer1) if fuses else self.layer1(grow(y, self.upsample))

    def downsampled_layer2(self, y: Tensor) -> Tensor:
        """Apply W2 to y, then downsample to half the size."""
        return layers.downsampled_conv(y, self.layer2) if self.fused else layers.downsample(self.layer2(y))

    def after(self, y: Tensor) -> Tensor:
        return layers.downsample(y) if self.scale == "down" and self.on_trunk else y


def glorot(name: str, weight: Tensor, generator: torch.Generator) -> None:
    """Draw uniformly, with variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010); twice that in the branches."""
    in_branch = name.endswith((".layer1.weight", ".layer2.weight", ".layer3.weight"))
    nn.init.xavier_uniform_(weight, math.sqrt(2) if in_branch else 1.0, generator)


class ResnetGenerator(nn.Module):
    """Latents (N, latent_dim), and labels (N,) where class-conditional, to images (N, C, H, W) in (-1, 1)."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],  # of an image: channels, height, width
        latent_dim: int,
        residual: bool,  # the switch
        projection: Projection,
        width: int | None,  # channels of the widest stage; None: as published
        upsample: Upsample,
        norm: Norm,
        spectral: bool,
        init: PublishedInit,
        seed: int,  # of the weights
        conditional: GeneratorConditioning = "none",
        classes: int = 0,  # in the data
    ) -> None:
        super().__init__()
        conditioning.check_classes(conditional, classes)
        channels, height = shape[0], square_side(shape)
        widths = stage_channels(GENERATORS, height, width)
        options = BlockOptions(residual=residual, join="sum", norm=norm)

        self.with_code = conditioning.LabelEmbedding(classes, latent_dim) if conditional == "concat" else None
        bottom = height // 2 ** (len(widths) - 1)
        self.base_shape = (widths[0], bottom, bottom)
        self.base = layers.linear(2 * latent_dim if self.with_code else latent_dim, math.prod(self.base_shape))
        self.blocks = nn.ModuleList(
            ResnetBlock(
                below,
                here,
                options,
                projection=projection,
                scale="up",
                upsample=upsample,
                classes=classes if conditional == "norm" else 0,
            )
            for below, here in itertools.pairwise(widths)
        )
        self.norm = layers.NORMS[norm](widths[-1])
        self.to_image = layers.conv3x3(widths[-1], channels)
        init_weights(self, network="generator", init=init, published=glorot, spectral=spectral, seed=seed)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        # Base.
        z = self.with_code(z, labels) if self.with_code else z
        x = self.base(z).view(-1, *self.base_shape)  # (N, C, 4, 4)

        # Blocks: each doubles the resolution.
        for block in self.blocks:
            x = block(x, labels)

        # Image.
        x = F.relu(self.norm(x))
        return torch.tanh(self.to_image(x))  # (N, channels, H, W)


class ResnetDiscriminator(nn.Module):
    """Images (N, C, H, W) in [-1, 1], and labels (N,) where class-conditional, to logits (N,)."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],  # of an image: channels, height, width
        residual: bool,  # the switch
        projection: Projection,
        width: int | None,  # channels of the widest stage; None: as published
        pool: Pool,  # over the remaining pixels: sum in SNGAN, mean in WGAN-GP
        norm: Norm,
        spectral: bool,
        init: PublishedInit,
        seed: int,  # of the weights
        conditional: DiscConditioning = "none",
        classes: int = 0,  # in the data
    ) -> None:
        super().__init__()
        conditioning.check_classes(conditional, classes)
        channels, height = shape[0], square_side(shape)
        widths = stage_channels(DISCRIMINATORS, height, width)
        options = BlockOptions(residual=residual, join="sum", norm=norm)

        self.planes = classes if conditional == "concat" else 0
        self.pool = pool
        self.blocks = nn.ModuleList()
        for k, (above, here) in enumerate(zip([channels + self.planes, *widths], widths, strict=False)):
            scale: Resampling = "down" if k < HALVINGS[height] else "same"
            self.blocks.append(
                ResnetBlock(
                    above,
                    here,
                    options,
                    projection=projection,
                    scale=scale,
                    hidden=above if k else here,
                    first=k == 0,
                    skip_norm=norm,
                )
            )
        self.to_logit = layers.linear(widths[-1], 1)
        self.to_class = layers.unbiased(widths[-1], classes) if conditional == "projection" else None
        init_weights(self, network="disc", init=init, published=glorot, spectral=spectral, seed=seed)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        # Blocks.
        x = conditioning.append_label_planes(images, labels, classes=self.planes) if self.planes else images
        for block in self.blocks:
            x = block(x)

        # Logit.
        x = F.relu(x)
        x = x.sum((2, 3)) if self.pool == "sum" else x.mean((2, 3))  # (N, C)
        logits = self.to_logit(x).squeeze(1)  # (N,)
        return logits + conditioning.projection_logit(self.to_class(x), labels) if self.to_class else logits
