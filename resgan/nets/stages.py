"""What both lab networks are stacked from: blocks at one resolution and width."""

from torch import Tensor, nn

from resgan.nets import layers
from resgan.nets.blocks import make_block


def sizes(image_size: int) -> list[int]:
    """The resolutions of the stages, lowest first: halved while even and not below 4. 32 -> [4, 8, 16, 32]."""
    found = [image_size]
    while found[0] % 2 == 0 and found[0] >= 8:
        found.insert(0, found[0] // 2)
    return found


def widths_of(width: int | list[int], stages: int) -> list[int]:
    """One width a stage, lowest resolution first."""
    widths = [width] * stages if isinstance(width, int) else list(width)
    if len(widths) != stages:
        raise ValueError(f"width={width}: these images have {stages} stages; give one number, or {stages}")
    return widths


class Stage(nn.Module):
    """Blocks at one resolution and width; a 1x1 convolution goes before them only where the width changes."""

    def __init__(self, width_in: int, width: int, *, blocks: int, **options) -> None:
        super().__init__()
        self.to_width = layers.conv1x1(width_in, width) if width_in != width else nn.Identity()
        self.blocks = nn.ModuleList(make_block(width, layer=layers.conv3x3, **options) for _ in range(blocks))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.to_width(x)
        for block in self.blocks:
            x = block(x, labels)
        return x
