"""The lab discriminator: image -> (blocks, down) x stages -> logit. The mirror of the generator."""

from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn

from resgan.nets import conditioning, layers
from resgan.nets.blocks import Join, Kind, branches
from resgan.nets.stages import Stage, sizes, widths_of


class LabDiscriminator(nn.Module):
    """Images (N, C, H, W) in [-1, 1], and labels (N,) where it is told the class, to logits (N,): more is more real."""

    def __init__(
        self,
        *,
        shape: tuple[int, int, int],  # of an image: channels, height, width
        residual: bool,  # the switch
        block: Kind,
        blocks: int,  # per stage
        width: int | list[int],  # channels: one number, or one per stage, lowest resolution first, as in the generator
        norm: layers.Norm,
        spectral: bool,  # spectral normalisation of every layer
        join: Join,
        init: layers.Init,
        seed: int,  # of the weights
        branch_scale: float = 1.0,
        layer_scale: float | None = None,
        group_size: int = 16,  # of a bottleneck
        image_skips: bool = False,  # the image again at every resolution (Karras et al. 2020, figure 7b)
        conditional: conditioning.ForDisc = "none",  # how the class is told
        classes: int = 0,  # in the data
    ) -> None:
        super().__init__()
        conditioning.check_classes(conditional, classes)
        channels, height, _ = shape
        stage_sizes = sizes(height)[::-1]
        widths = widths_of(width, len(stage_sizes))[::-1]
        options = {"residual": residual, "block": block, "how": join, "norm": norm}
        options |= {"branch_scale": branch_scale, "layer_scale": layer_scale, "group_size": group_size}

        self.planes = classes if conditional == "concat" else 0
        self.from_image = layers.conv3x3(channels + self.planes, widths[0])
        self.from_images = nn.ModuleList(layers.conv1x1(channels, above) for above in widths[:-1] if image_skips)
        self.stages = nn.ModuleList(
            Stage(above, here, blocks=blocks, **options)
            for above, here in zip([widths[0], *widths], widths, strict=False)
        )
        self.norm = layers.NORMS[norm](widths[-1])
        self.to_logit = layers.linear(features := widths[-1] * stage_sizes[-1] ** 2, 1)
        self.to_class = layers.unbiased(features, classes) if conditional == "projection" else None

        layers.initialise(self, seed=seed, network="disc", scheme=init, branches=branches(self))
        if spectral:
            layers.add_spectral_norm(self)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        # Image.
        told = conditioning.with_planes(images, labels, classes=self.planes) if self.planes else images
        x = self.from_image(told)  # (N, C, H, W)

        # Stages: half the resolution from one to the next.
        *most, last = cast(Iterable[Stage], self.stages)
        for k, stage in enumerate(most):
            x = stage.halved(x)  # (N, C, H / 2^(k + 1), W / 2^(k + 1))
            if self.from_images:
                images = layers.downsample(images)
                x = x + self.from_images[k](images)
        x = last(x)

        # Logit.
        x = layers.activation(self.norm(x)).flatten(1)
        logits = self.to_logit(x).squeeze(1)  # (N,)
        return logits + conditioning.of_class(self.to_class(x), labels) if self.to_class else logits
