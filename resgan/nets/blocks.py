"""The switch: is a block's input added back to what the block makes of it?"""

import math
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from resgan.nets import layers
from resgan.nets.layers import BatchNorm, Norm, activation, make_norm, normalise

Kind = Literal["preact", "postact", "bottleneck", "stylegan2"]
Join = Literal["sum", "scaled", "gated"]
Layer = Callable[[Tensor], Tensor]


def join(x: Tensor, y: Tensor, *, residual: bool, how: Join = "sum", gate: Tensor | float | None = None) -> Tensor:
    """Connect the trunk x with the branch y = F(x), both of one shape.

    sum     x + y             | y      (He et al. 2015, equation 1)
    scaled  (x + y) / sqrt 2  | y      (Karras et al. 2020: keeps the variance of independent terms)
    gated   x + g y           | g y    with a learned number g

    Under each of them a gate may scale the branch, in both arms.
    """
    y = y if gate is None else gate * y
    if not residual:
        return y
    return (x + y) * math.sqrt(0.5) if how == "scaled" else x + y


class Block(nn.Module):
    """A trunk and a branch at constant width. `residual` decides one thing, and it is decided in `join`.

    The kinds of block below say what the branch F is, and what comes after the join.
    """

    branch_layers: ClassVar[tuple[str, ...]] = ("layer1", "layer2")  # the layers of F, in their order

    def __init__(
        self,
        width: int,  # channels or features, the same at both ends
        *,
        residual: bool,  # add the input back
        how: Join = "sum",  # how input and branch are connected
        branch_scale: float = 1.0,  # a fixed factor on F: 0.1 in Mescheder et al. 2018, 0.3 in WGAN-GP's 101 layers
        layer_scale: float | None = None,  # where a learned factor on each channel of F begins (Touvron et al. 2021)
    ) -> None:
        super().__init__()
        self.residual = residual
        self.how: Join = how
        # Both arms own the gate, so that both own the same parameters.
        self.gate: nn.Parameter | float | None = None if branch_scale == 1 else branch_scale
        if how == "gated":
            self.gate = nn.Parameter(torch.ones(()))
        if layer_scale is not None:
            self.gate = nn.Parameter(torch.full((width,), layer_scale))

    def branch(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """F(x). The labels (N,) are for norms that are told the class."""
        raise NotImplementedError

    def skip(self, x: Tensor) -> Tensor:
        """What the branch is added to: x itself, but in some networks of papers."""
        return x

    def after(self, y: Tensor) -> Tensor:
        """What the next block is given."""
        return y

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.joined(self.skip(x), self.branch(x, labels))

    def joined(self, x: Tensor, y: Tensor) -> Tensor:
        """What the block makes of the trunk and of the branch."""
        return self.after(join(x, y, residual=self.residual, how=self.how, gate=self.gate_of(y)))

    # At another resolution. Some kinds compute it faster than so: as one with a convolution, the same function.

    def doubled(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The block of x at twice the size."""
        return self(layers.upsample(x), labels)

    def halved(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Half the size of the block of x."""
        return layers.downsample(self(x, labels))

    def gate_of(self, x: Tensor) -> Tensor | float | None:
        """The gate in a shape that goes with x."""
        if isinstance(self.gate, Tensor) and self.gate.ndim == 1:
            return self.gate.view(-1, *(1,) * (x.ndim - 2))
        return self.gate


class TwoLayers(Block):
    """What the kinds of two layers at constant width have in common; each says what its branch is."""

    def __init__(
        self,
        width: int,
        *,
        layer: Callable[[int, int], nn.Module],
        norm: Norm = "none",
        classes: int = 0,  # with them, the norms have a gain and a bias for each
        **options,
    ) -> None:
        super().__init__(width, **options)
        self.norm1, self.norm2 = (make_norm(norm, width, classes=classes) for _ in range(2))
        self.layer1, self.layer2 = layer(width, width), layer(width, width)

    def branch(self, x: Tensor, labels: Tensor | None = None, *, first: Layer | None = None) -> Tensor:
        """F(x); `first` stands in for the first layer."""
        raise NotImplementedError

    def doubled(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        y = self.branch(x, labels, first=partial(layers.doubled_conv, layer=self.layer1))
        return self.joined(layers.upsample(x), y)


class Preact(TwoLayers):
    """join(x, W2 a(n(W1 a(n(x)))))      (He et al. 2016)"""

    def branch(
        self, x: Tensor, labels: Tensor | None = None, *, first: Layer | None = None, last: Layer | None = None
    ) -> Tensor:
        y = (first or self.layer1)(activation(normalise(self.norm1, x, labels)))
        return (last or self.layer2)(activation(normalise(self.norm2, y, labels)))

    def doubled(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        if any(isinstance(module, BatchNorm) for module in self.norm1.modules()):
            return Block.doubled(self, x, labels)  # a quarter of the pixels would move its running variance
        return super().doubled(x, labels)

    def halved(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        y = self.branch(x, labels, last=partial(layers.halved_conv, layer=self.layer2))
        return self.joined(layers.downsample(x), y)


class Postact(TwoLayers):
    """a(join(x, n(W2 a(n(W1 x)))))      (He et al. 2015, with the leaky ReLU of the rest of the network)"""

    def branch(self, x: Tensor, labels: Tensor | None = None, *, first: Layer | None = None) -> Tensor:
        y = activation(normalise(self.norm1, (first or self.layer1)(x), labels))
        return normalise(self.norm2, self.layer2(y), labels)

    def after(self, y: Tensor) -> Tensor:
        return activation(y)


class StyleGan2(TwoLayers):
    """join(x, a(n(W2 a(n(W1 x)))))      two convolutions, each activated before the join (Karras et al. 2020)"""

    def branch(self, x: Tensor, labels: Tensor | None = None, *, first: Layer | None = None) -> Tensor:
        y = activation(normalise(self.norm1, (first or self.layer1)(x), labels))
        return activation(normalise(self.norm2, self.layer2(y), labels))


class Bottleneck(Block):
    """join(x, W3 a(W2 a(W1 x)))      1x1 to twice the width, grouped 3x3, 1x1 back (Huang et al. 2024, R3GAN)

    No norm, a linear end without a bias, nothing after the join.
    """

    branch_layers = ("layer1", "layer2", "layer3")

    def __init__(
        self,
        width: int,
        *,
        layer: Callable[[int, int], nn.Module],
        norm: Norm = "none",
        classes: int = 0,
        group_size: int = 16,  # channels of a group of the 3x3
        expansion: int = 2,
        **options,
    ) -> None:
        super().__init__(width, **options)
        if layer is not layers.conv3x3:
            raise ValueError(
                "block=bottleneck: is made of convolutions, for images; valid are preact, postact, stylegan2"
            )
        if norm != "none":
            raise ValueError(f"norm={norm}: block=bottleneck has no place for a norm; valid is none")
        if classes:
            raise ValueError("conditional=norm: block=bottleneck has no place for a norm; valid is concat")
        inner = expansion * width
        if inner % group_size:
            raise ValueError(f"group_size={group_size}: does not divide {expansion} x width, {inner}")
        self.layer1 = layers.conv1x1(width, inner)
        self.layer2 = nn.Conv2d(inner, inner, kernel_size=3, padding=1, groups=inner // group_size)
        self.layer3 = nn.Conv2d(inner, width, kernel_size=1, bias=False)

    def branch(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        y = activation(self.layer1(x))
        y = activation(self.layer2(y))
        return self.layer3(y)


BLOCKS: dict[str, Callable[..., Block]] = {
    "preact": Preact,
    "postact": Postact,
    "bottleneck": Bottleneck,
    "stylegan2": StyleGan2,
}


def make_block(width: int, *, block: Kind, group_size: int = 16, **options) -> Block:
    """A block by name; only a bottleneck has groups."""
    groups = {"group_size": group_size} if block == "bottleneck" else {}
    return BLOCKS[block](width, **groups, **options)


def branches(net: nn.Module) -> list[list[str]]:
    """The names of the weights of each branch in a network, for initialisations that treat them as one."""
    return [
        [f"{name}.{layer}.weight".removeprefix(".") for layer in block.branch_layers]
        for name, block in net.named_modules()
        if isinstance(block, Block)
    ]
