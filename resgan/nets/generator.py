"""The lab generator: base -> (blocks, up) x stages -> image. The discriminator is its mirror."""

from torch import Tensor, nn

from resgan.nets import layers
from resgan.nets.blocks import Join, Kind, branches
from resgan.nets.stages import Stage, sizes, widths_of


class LabGenerator(nn.Module):
    """Latents (N, latent_dim) to images (N, C, H, W), nominally in [-1, 1].

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
    ) -> None:
        super().__init__()
        channels, height, _ = shape
        stage_sizes = sizes(height)
        widths = widths_of(width, len(stage_sizes))
        options = {"residual": residual, "block": block, "how": join, "norm": norm}
        options |= {"branch_scale": branch_scale, "layer_scale": layer_scale, "group_size": group_size}

        self.base_shape = (widths[0], stage_sizes[0], stage_sizes[0])
        self.base = layers.linear(latent_dim, widths[0] * stage_sizes[0] ** 2)
        self.stages = nn.ModuleList(
            Stage(below, here, blocks=blocks, **options)
            for below, here in zip([widths[0], *widths], widths, strict=False)
        )
        self.norm = layers.NORMS[norm](widths[-1])
        self.to_image = layers.conv3x3(widths[-1], channels)

        layers.initialise(self, seed=seed, network="generator", scheme=init, branches=branches(self))
        if spectral:
            layers.add_spectral_norm(self)

    def forward(self, z: Tensor) -> Tensor:
        # Base.
        x = self.base(z).view(-1, *self.base_shape)  # (N, C, 4, 4)

        # Stages: twice the resolution from one to the next.
        for k, stage in enumerate(self.stages):
            x = stage(layers.upsample(x) if k else x)  # (N, C, 4 * 2^k, 4 * 2^k)

        # Image.
        x = layers.activation(self.norm(x))
        return self.to_image(x)  # (N, channels, H, W)
