"""The lab generator: base -> (blocks, up) x stages -> image. The discriminator is its mirror."""

import functools
from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn

from resgan.nets import conditioning, layers
from resgan.nets.blocks import Join, Kind, branches
from resgan.nets.stages import Stage, sizes, widths_of


class LabGenerator(nn.Module):
    """Latents (N, latent_dim), and labels (N,) where it is told the class, to images (N, C, H, W), about in [-1, 1].

    No tanh closes the network: where most pixels of the data are black, its gradient dies early and all stays black.
    Resolution changes between stages, on the trunk, in both arms; with one width the identity path of the residual
    arm runs from the base to the image.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, int, int],  # of an image: channels, height, width
        latent_dim: int,  # size of the latent
        residual: bool,  # the switch
        block: Kind,
        blocks: int,  # per stage
        width: int | list[int],  # channels: one number, or one per stage, lowest resolution first
        norm: layers.Norm,
        spectral: bool,  # spectral normalisation of every layer
        join: Join,
        init: layers.Init,
        seed: int,  # of the weights
        branch_scale: float = 1.0,
        layer_scale: float | None = None,
        group_size: int = 16,  # of a bottleneck
        image_skips: bool = False,  # an image at every resolution, and their sum (Karras et al. 2020, figure 7b)
        conditional: conditioning.ForGenerator = "none",  # how the class is told
        classes: int = 0,  # in the data
    ) -> None:
        super().__init__()
        conditioning.check_classes(conditional, classes)
        channels, height, _ = shape
        stage_sizes = sizes(height)
        widths = widths_of(width, len(stage_sizes))
        options = {"residual": residual, "block": block, "how": join, "norm": norm}
        options |= {"branch_scale": branch_scale, "layer_scale": layer_scale, "group_size": group_size}
        options |= {"classes": classes if conditional == "norm" else 0}

        self.with_code = conditioning.WithCode(classes, latent_dim) if conditional == "concat" else None
        self.base_shape = (widths[0], stage_sizes[0], stage_sizes[0])
        self.base = layers.linear(2 * latent_dim if self.with_code else latent_dim, widths[0] * stage_sizes[0] ** 2)
        self.stages = nn.ModuleList(
            Stage(below, here, blocks=blocks, **options)
            for below, here in zip([widths[0], *widths], widths, strict=False)
        )
        self.to_images = nn.ModuleList(ToImage(here, channels, norm=norm) for here in widths[:-1] if image_skips)
        self.norm = layers.NORMS[norm](widths[-1])
        self.to_image = layers.conv3x3(widths[-1], channels)

        layers.initialise(self, seed=seed, network="generator", scheme=init, branches=branches(self))
        if spectral:
            layers.add_spectral_norm(self)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        # Base.
        z = self.with_code(z, labels) if self.with_code else z
        x = self.base(z).view(-1, *self.base_shape)  # (N, C, 4, 4)

        # Stages: twice the resolution from one to the next.
        images, stages = [], cast(Iterable[Stage], self.stages)
        for k, stage in enumerate(stages):
            x = stage.doubled(x, labels) if k else stage(x, labels)  # (N, C, 4 * 2^k, 4 * 2^k)
            images += [to_image(x) for to_image in self.to_images[k : k + 1]]

        # Image.
        x = layers.activation(self.norm(x))
        images += [self.to_image(x)]  # (N, channels, H, W)
        return functools.reduce(lambda below, image: layers.upsample(below) + image, images)


class ToImage(nn.Module):
    """The trunk as an image of its resolution."""

    def __init__(self, width: int, channels: int, *, norm: layers.Norm) -> None:
        super().__init__()
        self.norm = layers.NORMS[norm](width)
        self.layer = layers.conv1x1(width, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(layers.activation(self.norm(x)))
