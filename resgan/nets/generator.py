"""The lab generator: base -> (blocks, up) x stages -> image. The discriminator is its mirror."""

import functools
from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from torch import Tensor, nn

from resgan.nets import conditioning, layers, looks_linear
from resgan.nets.blocks import branches
from resgan.nets.stages import Stage, per_stage, sizes, square_side
from resgan.options.block import BlockOptions
from resgan.options.choices import FanIn, GeneratorConditioning, Init, Norm


class LabGenerator(nn.Module):
    """Latents (N, latent_dim), and labels (N,) where class-conditional, to images (N, C, H, W) in about [-1, 1].

    There is no final tanh: where most pixels of the data are black, its gradient vanishes early and all stays black.
    Resolution changes between stages, on the trunk, in both arms; with a single width the identity path of the residual
    arm runs from the base to the image. Raises ValueError for invalid shapes and options.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],  # of an image: channels, height, width
        latent_dim: int = 16,  # size of the latent
        block: BlockOptions = BlockOptions(),  # with the switch
        blocks: int | list[int] = 1,  # in a stage: one number, or one per stage, lowest resolution first
        width: int | list[int] = 32,  # channels: one number, or one per stage, lowest resolution first
        image_skips: bool = False,  # an image at every resolution, and their sum (Karras et al. 2020, figure 7b)
        spectral: bool = False,  # spectral normalisation of every layer
        init: Init = "he",
        fan_in: FanIn = "effective",  # how the initial variance counts the inputs of a layer
        first_bias: bool = True,  # of the first layer, drawn like its weights; False: 0
        seed: int = 0,  # of the weights
        conditional: GeneratorConditioning = "none",  # how the class enters
        classes: int = 0,  # in the data
    ) -> None:
        super().__init__()
        conditioning.check_classes(conditional, classes)
        channels, stage_sizes = shape[0], sizes(square_side(shape))
        widths = per_stage("width", width, len(stage_sizes))
        depths = per_stage("blocks", blocks, len(stage_sizes))
        block = replace(block, depth=sum(depths))

        self.with_code = conditioning.LabelEmbedding(classes, latent_dim) if conditional == "concat" else None
        self.base_shape = (widths[0], stage_sizes[0], stage_sizes[0])
        self.base = layers.linear(2 * latent_dim if self.with_code else latent_dim, widths[0] * stage_sizes[0] ** 2)
        self.stages = nn.ModuleList(
            Stage(below, here, block, size=size, blocks=depth, classes=classes if conditional == "norm" else 0)
            for below, here, size, depth in zip([widths[0], *widths], widths, stage_sizes, depths, strict=False)
        )
        self.to_images = nn.ModuleList(ToImage(here, channels, norm=block.norm) for here in widths[:-1] if image_skips)
        self.norm = layers.NORMS[block.norm](widths[-1])
        self.to_image = layers.conv3x3(widths[-1], channels)
        layers.set_map_size(self.to_image, stage_sizes[-1])

        layers.initialise(self, seed=seed, network="generator", scheme=init, branches=branches(self), fan_in=fan_in)
        if first_bias:
            layers.draw_bias(self.base, seed=seed, network="generator")
        if init == "looks_linear":
            between = [layer for stage in self.stages if isinstance(layer := stage.to_width, nn.Conv2d)]
            last = [*(to_image.layer for to_image in cast(Iterable[ToImage], self.to_images)), self.to_image]
            looks_linear.mirror(first=[self.base], between=between, last=last, slope=layers.SLOPE)
        if spectral:
            layers.add_spectral_norm(self)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        # Base.
        z = self.with_code(z, labels) if self.with_code else z
        x = self.base(z).view(-1, *self.base_shape)  # (N, C, 4, 4)

        # Stages: twice the resolution from one to the next.
        images, stages = [], cast(Iterable[Stage], self.stages)
        for k, stage in enumerate(stages):
            x = stage.upsampled(x, labels) if k else stage(x, labels)  # (N, C, 4 * 2^k, 4 * 2^k)
            images += [to_image(x) for to_image in self.to_images[k : k + 1]]

        # Image.
        x = layers.activation(self.norm(x))
        images += [self.to_image(x)]  # (N, channels, H, W)
        return functools.reduce(lambda below, image: layers.upsample(below) + image, images)


class ToImage(nn.Module):
    """Convert the trunk to an image at its resolution."""

    def __init__(self, width: int, channels: int, *, norm: Norm) -> None:
        super().__init__()
        self.norm = layers.NORMS[norm](width)
        self.layer = layers.conv1x1(width, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(layers.activation(self.norm(x)))
