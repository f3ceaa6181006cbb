"""R3GAN (Huang et al. 2024, sections 3 and 4): resampling on the trunk, and bottlenecks with identity skips in between.

So the switch needs no projection here: both arms own the same parameters, as in the lab networks.
"""

import itertools
import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resgan.base.rng import make_generator
from resgan.nets import conditioning, layers
from resgan.nets.blocks import Bottleneck, branches
from resgan.nets.stages import per_stage, sizes, square_side
from resgan.options.block import BlockOptions
from resgan.options.choices import PublishedInit

BASE = 4  # pixels of the lowest resolution
FILTER = (1.0, 3.0, 3.0, 1.0)  # [1, 2, 1] convolved with [1, 1]: interpolates to pixels twice as dense


def kernel(x: Tensor) -> Tensor:
    """Return the filter of each channel of x (C, 1, 4, 4), whose weights sum to one."""
    line = torch.tensor(FILTER, dtype=x.dtype, device=x.device) / sum(FILTER)
    return torch.outer(line, line).expand(x.shape[1], 1, -1, -1)


def filtered_upsample(x: Tensor) -> Tensor:
    """Upsample to twice the size, bilinearly, with zeros outside the image."""
    return F.conv_transpose2d(x, 4 * kernel(x), stride=2, padding=1, groups=x.shape[1])


def filtered_downsample(x: Tensor) -> Tensor:
    """Downsample to half the size, with the same filter."""
    return F.conv2d(x, kernel(x), stride=2, padding=1, groups=x.shape[1])


def unbiased_conv1x1(width_in: int, width: int) -> nn.Module:
    return nn.Conv2d(width_in, width, kernel_size=1, bias=False)


class R3ganStage(nn.Module):
    """Bottlenecks at one resolution and width."""

    def __init__(self, width: int, options: BlockOptions, *, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Bottleneck(width, options) for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def r3gan_widths(width: int | list[int], size: int) -> list[int]:
    """Return the channels of each stage, from 4 x 4 pixels up. Raises ValueError."""
    if sizes(size)[0] != BASE:
        raise ValueError(f"name=r3gan: made for images of 4 x 2^k pixels, such as 32 or 64; these have {size}")
    return per_stage("width", width, len(sizes(size)))


class R3ganGenerator(nn.Module):
    """Latents (N, latent_dim), and labels (N,) where class-conditional, to images (N, C, H, W), unbounded."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],  # of an image: channels, height, width
        latent_dim: int,
        residual: bool,  # the switch
        width: int | list[int],  # channels: one number, or one per stage, lowest resolution first
        blocks: int,  # per stage
        group_size: int,  # channels per group of the 3x3
        norm: Literal["none"],
        spectral: bool,
        init: PublishedInit,
        seed: int,  # of the weights
        conditional: Literal["none", "concat"] = "none",
        classes: int = 0,  # in the data
    ) -> None:
        super().__init__()
        conditioning.check_classes(conditional, classes)
        channels, height = shape[0], square_side(shape)
        widths = r3gan_widths(width, height)
        self.with_code = conditioning.LabelEmbedding(classes, latent_dim) if conditional == "concat" else None
        self.basis = nn.Parameter(torch.empty(widths[0], BASE, BASE))
        self.to_basis = layers.unbiased(2 * latent_dim if self.with_code else latent_dim, widths[0])
        self.to_width = transitions(widths)
        options = BlockOptions(residual=residual, join="sum", kind="bottleneck", group_size=group_size)
        self.stages = nn.ModuleList(R3ganStage(here, options, blocks=blocks) for here in widths)
        self.to_image = unbiased_conv1x1(widths[-1], channels)
        init_r3gan(self, network="generator", init=init, spectral=spectral, seed=seed)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        # Base: a learned feature map, whose channels are weighted by the latent.
        z = self.with_code(z, labels) if self.with_code else z
        x = self.basis * self.to_basis(z)[:, :, None, None]  # (N, C, 4, 4)

        # Stages.
        x = self.stages[0](x)
        for to_width, stage in zip(self.to_width, self.stages[1:], strict=True):
            x = stage(filtered_upsample(to_width(x)))  # (N, C, 4 * 2^k, 4 * 2^k)

        # Image.
        return self.to_image(x)  # (N, channels, H, W)


class R3ganDiscriminator(nn.Module):
    """Images (N, C, H, W) in [-1, 1], and labels (N,) where class-conditional, to logits (N,)."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],  # of an image: channels, height, width
        residual: bool,  # the switch
        width: int | list[int],  # channels: one number, or one per stage, lowest resolution first, as in the generator
        blocks: int,  # per stage
        group_size: int,  # channels per group of the 3x3
        norm: Literal["none"],
        spectral: bool,
        init: PublishedInit,
        seed: int,  # of the weights
        conditional: Literal["none", "projection"] = "none",
        classes: int = 0,  # in the data
    ) -> None:
        super().__init__()
        conditioning.check_classes(conditional, classes)
        channels, height = shape[0], square_side(shape)
        widths = r3gan_widths(width, height)[::-1]
        projects = conditional == "projection"
        self.from_image = unbiased_conv1x1(channels, widths[0])
        options = BlockOptions(residual=residual, join="sum", kind="bottleneck", group_size=group_size)
        self.stages = nn.ModuleList(R3ganStage(here, options, blocks=blocks) for here in widths)
        self.to_width = transitions(widths)
        self.basis = nn.Conv2d(widths[-1], widths[-1], kernel_size=BASE, groups=widths[-1], bias=False)
        self.to_logit = layers.unbiased(widths[-1], widths[-1] if projects else 1)
        self.to_class = layers.unbiased(widths[-1], classes) if projects else None
        init_r3gan(self, network="disc", init=init, spectral=spectral, seed=seed)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        # Image.
        x = self.from_image(images)  # (N, C, H, W)

        # Stages.
        x = self.stages[0](x)
        for to_width, stage in zip(self.to_width, self.stages[1:], strict=True):
            x = stage(to_width(filtered_downsample(x)))  # (N, C, H / 2^k, W / 2^k)

        # Logit: only that of the class, where there are classes.
        x = self.to_logit(self.basis(x).flatten(1))
        return conditioning.projection_logit(self.to_class(x), labels) if self.to_class else x.squeeze(1)  # (N,)


def transitions(widths: list[int]) -> nn.ModuleList:
    """Make the transitions between stages: a 1x1 convolution where the width changes."""
    pairs = itertools.pairwise(widths)
    return nn.ModuleList(unbiased_conv1x1(here, there) if here != there else nn.Identity() for here, there in pairs)


def init_r3gan(
    net: R3ganGenerator | R3ganDiscriminator, *, network: str, init: PublishedInit, spectral: bool, seed: int
) -> None:
    """Draw the weights of either network; as published, branches begin at zero by Fixup's rules (Zhang et al. 2019)."""
    found = branches(net)
    layers.initialise(net, seed=seed, network=network, scheme=he if init == "published" else init, branches=found)
    if init == "published":
        layers.rescale_branches(net, scheme="fixup", branches=found)
    if isinstance(net, R3ganGenerator):
        nn.init.normal_(net.basis, generator=make_generator(seed, network, "basis"))
        if net.with_code and init == "published":
            net.with_code.code.weight.data *= net.with_code.code.num_embeddings**-0.5
    if spectral:
        layers.add_spectral_norm(net)


def he(name: str, weight: Tensor, generator: torch.Generator) -> None:
    """Draw from a normal of variance 1 / fan_in, times 2 / (1 + 0.2^2) in the branches (He et al. 2015, leaky ReLU).

    The logits of the classes begin smaller, with variance 1 / (fan_in classes).
    """
    gain = nn.init.calculate_gain("leaky_relu", layers.SLOPE) if ".blocks." in name else 1.0
    if name.startswith("to_class"):
        gain = len(weight) ** -0.5
    nn.init.normal_(weight, std=gain / math.sqrt(weight[0].numel()), generator=generator)
