"""The lab discriminator: image -> (blocks, down) x stages -> logit. The mirror of the generator."""

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from torch import Tensor, nn

from resgan.nets import conditioning, layers, looks_linear
from resgan.nets.blocks import branches
from resgan.nets.stages import Stage, per_stage, sizes, square_side
from resgan.options.block import BlockOptions
from resgan.options.choices import DiscConditioning, FanIn, Init


class LabDiscriminator(nn.Module):
    """Images (N, C, H, W) in [-1, 1], and labels (N,) where class-conditional, to logits (N,): higher is more real.

    Raises ValueError for invalid shapes and options.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],  # of an image: channels, height, width
        block: BlockOptions = BlockOptions(),  # with the switch
        blocks: int | list[int] = 1,  # in a stage: one number, or one per stage, lowest resolution first, as in G
        width: int | list[int] = 32,  # channels: one number, or one per stage, lowest resolution first, as in G
        image_skips: bool = False,  # the image again at every resolution (Karras et al. 2020, figure 7b)
        spectral: bool = False,  # spectral normalisation of every layer
        init: Init = "he",
        fan_in: FanIn = "effective",  # how the initial variance counts the inputs of a layer
        first_bias: bool = True,  # of the first layer, drawn like its weights; False: 0
        seed: int = 0,  # of the weights
        conditional: DiscConditioning = "none",  # how the class enters
        classes: int = 0,  # in the data
    ) -> None:
        super().__init__()
        conditioning.check_classes(conditional, classes)
        channels, stage_sizes = shape[0], sizes(square_side(shape))[::-1]
        widths = per_stage("width", width, len(stage_sizes))[::-1]
        depths = per_stage("blocks", blocks, len(stage_sizes))[::-1]
        block = replace(block, depth=sum(depths))

        self.planes = classes if conditional == "concat" else 0
        self.from_image = layers.conv3x3(channels + self.planes, widths[0])
        layers.set_map_size(self.from_image, stage_sizes[0])
        self.from_images = nn.ModuleList(layers.conv1x1(channels, above) for above in widths[:-1] if image_skips)
        self.stages = nn.ModuleList(
            Stage(above, here, block, size=size, blocks=depth)
            for above, here, size, depth in zip([widths[0], *widths], widths, stage_sizes, depths, strict=False)
        )
        self.norm = layers.NORMS[block.norm](widths[-1])
        self.to_logit = layers.linear(features := widths[-1] * stage_sizes[-1] ** 2, 1)
        self.to_class = layers.unbiased(features, classes) if conditional == "projection" else None

        layers.initialise(self, seed=seed, network="disc", scheme=init, branches=branches(self), fan_in=fan_in)
        if first_bias:
            layers.draw_bias(self.from_image, seed=seed, network="disc")
        if init == "looks_linear":
            first = [self.from_image, *cast(Iterable[nn.Conv2d], self.from_images)]
            between = [layer for stage in self.stages if isinstance(layer := stage.to_width, nn.Conv2d)]
            last = [self.to_logit, *([self.to_class] if self.to_class else [])]
            looks_linear.mirror(first=first, between=between, last=last, slope=layers.SLOPE)
        if spectral:
            layers.add_spectral_norm(self)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        # Image.
        shown = conditioning.append_label_planes(images, labels, classes=self.planes) if self.planes else images
        x = self.from_image(shown)  # (N, C, H, W)

        # Stages: half the resolution from one to the next.
        *most, last = cast(Iterable[Stage], self.stages)
        for k, stage in enumerate(most):
            x = stage.downsampled(x)  # (N, C, H / 2^(k + 1), W / 2^(k + 1))
            if self.from_images:
                images = layers.downsample(images)
                x = x + self.from_images[k](images)
        x = last(x)

        # Logit.
        x = layers.activation(self.norm(x)).flatten(1)
        logits = self.to_logit(x).squeeze(1)  # (N,)
        return logits + conditioning.projection_logit(self.to_class(x), labels) if self.to_class else logits
