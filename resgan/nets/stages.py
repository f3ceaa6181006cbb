"""Stages of the lab networks: blocks at one resolution and width."""

from torch import Tensor, nn

from resgan.nets import layers
from resgan.nets.blocks import Block, make_block
from resgan.options.block import BlockOptions


def sizes(image_size: int) -> list[int]:
    """Return the resolutions of the stages, lowest first: halved while even and not below 4. 32 -> [4, 8, 16, 32]."""
    found = [image_size]
    while found[0] % 2 == 0 and found[0] >= 8:
        found.insert(0, found[0] // 2)
    return found


def square_side(shape: tuple[int, ...]) -> int:
    """Return the side of square images (C, H, W). Raises ValueError for other shapes."""
    if len(shape) != 3 or min(shape) < 1 or shape[1] != shape[2]:
        raise ValueError(f"shape={shape}: expected (channels, height, width) of a square image, such as (3, 32, 32)")
    return shape[1]


def per_stage(name: str, value: int | list[int], stages: int) -> list[int]:
    """Return one number per stage, lowest resolution first. Raises ValueError for another count."""
    numbers = [value] * stages if isinstance(value, int) else list(value)
    if len(numbers) != stages:
        raise ValueError(f"{name}={value}: images of this size have {stages} stages; give one number, or {stages}")
    return numbers


class Stage(nn.Module):
    """Blocks at one resolution and width; a 1x1 convolution precedes them where the width changes."""

    fused = True  # resampling is part of the adjacent convolution: the same function, faster

    def __init__(
        self,
        width_in: int,
        width: int,
        options: BlockOptions,
        *,
        size: int,  # of its maps, in pixels
        blocks: int,
        classes: int = 0,  # more than 0: class-conditional norms
    ) -> None:
        super().__init__()
        self.to_width = layers.conv1x1(width_in, width) if width_in != width else nn.Identity()
        self.blocks = nn.ModuleList(make_block(width, options, classes=classes) for _ in range(blocks))
        layers.set_map_size(self, size)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.through(self.to_width(x), labels, blocks=range(len(self.blocks)))

    def upsampled(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Upsample x to twice the size, then apply the stage."""
        if not self.fused:
            return self(layers.upsample(x), labels)
        x = self.to_width(x)  # before upsampling: a 1x1 convolution of copies makes copies
        x = self.block(0).upsampled(x, labels) if len(self.blocks) else layers.upsample(x)
        return self.through(x, labels, blocks=range(1, len(self.blocks)))

    def downsampled(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Apply the stage to x, then downsample to half the size."""
        if not self.fused:
            return layers.downsample(self(x, labels))
        x = self.through(self.to_width(x), labels, blocks=range(len(self.blocks) - 1))
        return self.block(-1).downsampled(x, labels) if len(self.blocks) else layers.downsample(x)

    def through(self, x: Tensor, labels: Tensor | None, *, blocks: range) -> Tensor:
        for k in blocks:
            x = self.blocks[k](x, labels)
        return x

    def block(self, k: int) -> Block:
        block = self.blocks[k]
        assert isinstance(block, Block)
        return block
