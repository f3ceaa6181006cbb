"""The lab discriminator: image -> (blocks, down) x stages -> logit. The mirror of the generator."""

from torch import Tensor, nn

from resgan.nets import layers
from resgan.nets.blocks import Join, Kind, branches
from resgan.nets.stages import Stage, sizes, widths_of


class LabDiscriminator(nn.Module):
    """Images (N, C, H, W) in [-1, 1] to logits (N,): the larger, the more real."""

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
    ) -> None:
        super().__init__()
        channels, height, _ = shape
        stage_sizes = sizes(height)[::-1]
        widths = widths_of(width, len(stage_sizes))[::-1]
        options = {"residual": residual, "block": block, "how": join, "norm": norm}
        options |= {"branch_scale": branch_scale, "layer_scale": layer_scale, "group_size": group_size}

        self.from_image = layers.conv3x3(channels, widths[0])
        self.stages = nn.ModuleList(
            Stage(above, here, blocks=blocks, **options)
            for above, here in zip([widths[0], *widths], widths, strict=False)
        )
        self.norm = layers.NORMS[norm](widths[-1])
        self.to_logit = layers.linear(widths[-1] * stage_sizes[-1] ** 2, 1)

        layers.initialise(self, seed=seed, network="disc", scheme=init, branches=branches(self))
        if spectral:
            layers.add_spectral_norm(self)

    def forward(self, images: Tensor) -> Tensor:
        # Image.
        x = self.from_image(images)  # (N, C, H, W)

        # Stages: half the resolution from one to the next.
        for k, stage in enumerate(self.stages):
            x = stage(layers.downsample(x) if k else x)  # (N, C, H / 2^k, W / 2^k)

        # Logit.
        x = layers.activation(self.norm(x))
        return self.to_logit(x.flatten(1)).squeeze(1)  # (N,)
