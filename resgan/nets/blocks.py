"""Blocks, and their switch: is the input of a block added back to the output of its branch?"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from resgan.nets import layers
from resgan.nets.layers import BatchNorm, activation, make_norm, normalise
from resgan.nets.skips import make_skip
from resgan.options.block import BlockOptions
from resgan.options.choices import Join

Layer = Callable[[Tensor], Tensor]
MakeLayer = Callable[
    [int, int], nn.Conv2d | nn.Linear
]  # (width in, width out), such as layers.conv3x3 and layers.linear


def join(
    x: Tensor,
    y: Tensor,
    *,
    residual: bool,
    join: Join = "sum",
    gate: Tensor | float | None = None,
    depth: int = 1,  # L, the number of blocks in the network
    carry: Layer | None = None,  # a control of the skip, applied to x; None: x itself
) -> Tensor:
    """Connect the trunk x with the branch y = F(x), both of one shape.

    sum     x + y             | y      (He et al. 2015, equation 1)
    stable  x + y / sqrt L    | y      (Hayou et al. 2021: the variance grows by less than e in all, where F keeps it)
    scaled  (x + y) / sqrt 2  | y      (Karras et al. 2020: keeps the variance of independent terms)
    gated   x + g y           | g y    with a learned number g

    In each of them a gate may also scale the branch, in both arms.
    """
    y = y if gate is None else gate * y
    if not residual:
        return y
    x = x if carry is None else carry(x)
    if join == "stable":
        y = y / math.sqrt(depth)
    return (x + y) * math.sqrt(0.5) if join == "scaled" else x + y


def join_weights(*, residual: bool, join: Join = "sum", depth: int = 1) -> tuple[float, float]:
    """Return (a, b) such that `join` computes a x + b y, where y is already scaled by its gate."""
    if not residual:
        return 0.0, 1.0
    if join == "scaled":
        return math.sqrt(0.5), math.sqrt(0.5)
    return 1.0, 1 / math.sqrt(depth) if join == "stable" else 1.0


class Block(nn.Module):
    """The base class of blocks: trunk and branch at constant width. `residual` acts in `join` alone.

    Pass the options as a whole, or one by one as keywords: Preact(64, residual=False, norm="pixel"). Subclasses define
    the branch F, and what comes after the join.
    """

    branch_layers: ClassVar[tuple[str, ...]] = ("layer1", "layer2")  # the layers of F, in their order
    mixed: Tensor | None  # weights (2,) of x and F in place of the options, for members of a stack with different joins
    share: Tensor | None  # s in the annealed join s join(x, F) + (1 - s) F; it ends at `skip_final`

    def __init__(
        self,
        width: int,  # channels or features, the same at both ends
        options: BlockOptions | None = None,
        **fields: Any,  # of BlockOptions, in its place
    ) -> None:
        super().__init__()
        if options is not None and fields:
            raise TypeError(f"give the options as one object or as keywords, not both: {', '.join(fields)}")
        self.options = options or BlockOptions(**fields)
        self.residual = self.options.residual
        self.register_buffer("mixed", None, persistent=False)
        # Both arms own the gate, so that both own the same parameters.
        self.gate: nn.Parameter | float | None = None
        if self.options.branch_scale != 1:
            self.gate = self.options.branch_scale
        if self.options.join == "gated":
            self.gate = nn.Parameter(torch.ones(()))
        if self.options.layer_scale is not None:
            self.gate = nn.Parameter(torch.full((width,), self.options.layer_scale))
        self.carry = make_skip(width, self.options)
        # A buffer, so that a checkpoint holds the current share.
        self.register_buffer("share", None if self.options.skip_final is None else torch.ones(()))

    def normalised(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the common input of join and branch: n(x) where the norm is on the trunk, else x itself."""
        return x

    def branch(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Compute F(x). The labels (N,) are for class-conditional norms."""
        raise NotImplementedError

    def skip(self, x: Tensor) -> Tensor:
        """Return the trunk at the join: x itself, except in some published networks."""
        return x

    def after(self, y: Tensor) -> Tensor:
        """Return the block's output, given the result of the join."""
        return y

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.normalised(x, labels)
        return self.joined(self.skip(x), self.branch(x, labels))

    def joined(self, x: Tensor, y: Tensor) -> Tensor:
        """Join the trunk x with the branch y, and return the block's output."""
        gate = self.gate_for(y)
        if self.mixed is not None:
            a, b = (weight.view(*weight.shape, *(1,) * (x.ndim - weight.ndim)) for weight in self.mixed.unbind(-1))
            out = a * (x if self.carry is None else self.carry(x)) + b * (y if gate is None else gate * y)
        else:
            how = {"join": self.options.join, "gate": gate, "depth": self.options.depth, "carry": self.carry}
            out = join(x, y, residual=self.residual, **how)
        if self.share is not None:
            out = torch.lerp(join(x, y, residual=False, gate=gate), out, self.share)
        return self.after(out)

    def anneal(self, share: float) -> None:
        assert self.share is not None
        self.share.fill_(share)

    @property
    def join_weights(self) -> tuple[float, float]:
        """The weights of trunk and branch at the join."""
        options = self.options
        return join_weights(residual=options.residual, join=options.join, depth=options.depth)

    # At another resolution. Some kinds override these with the same function, fused with a convolution: faster.

    def upsampled(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Upsample x to twice the size, then apply the block."""
        return self(layers.upsample(x), labels)

    def downsampled(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Apply the block to x, then downsample to half the size."""
        return layers.downsample(self(x, labels))

    def gate_for(self, x: Tensor) -> Tensor | float | None:
        """Return the gate in a shape that broadcasts over x."""
        if isinstance(self.gate, Tensor) and self.gate.ndim == 1:
            return self.gate.view(-1, *(1,) * (x.ndim - 2))
        return self.gate


class TwoLayers(Block):
    """The base class of blocks with two layers at constant width; subclasses define the branch.

    With norm_place=trunk the norm is on the trunk, join(n(x), F(n(x))), and the branch has none. Inside the branch
    (norm_place=branch) it hides the scale of x from a plain block, but not from a residual one, whose skip bypasses it.

    Raises ValueError for norms inside a branch whose inner width differs.
    """

    def __init__(
        self,
        width: int,
        options: BlockOptions | None = None,
        *,
        layer: MakeLayer = layers.conv3x3,
        classes: int = 0,  # more than 0: the norms have a gain and a bias for each class
        **fields: Any,
    ) -> None:
        super().__init__(width, options, **fields)
        inner = self.options.inner * width
        if inner != width and self.options.norm != "none" and self.options.norm_place == "branch":
            raise ValueError(f"norm_place=branch: inner={self.options.inner} has no place for norms inside; use trunk")
        here = partial(make_norm, self.options.norm, width, classes=classes)
        on_trunk = self.options.norm_place == "trunk"
        self.norm = here() if on_trunk else nn.Identity()
        self.norm1, self.norm2 = (nn.Identity() if on_trunk else here() for _ in range(2))
        self.layer1, self.layer2 = layer(width, inner), layer(inner, width)

    def normalised(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return normalise(self.norm, x, labels)

    def branch(self, x: Tensor, labels: Tensor | None = None, *, first: Layer | None = None) -> Tensor:
        """Compute F(x); `first` replaces the first layer where given."""
        raise NotImplementedError

    def norms_before_first_layer(self) -> list[nn.Module]:
        """Return the norms that see x at its input resolution."""
        return [self.norm]

    def upsampled(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        if any(isinstance(part, BatchNorm) for norm in self.norms_before_first_layer() for part in norm.modules()):
            return super().upsampled(x, labels)  # on a quarter of the pixels, its running variance would differ
        x = self.normalised(x, labels)
        y = self.branch(x, labels, first=partial(layers.upsampled_conv, layer=self.layer1))
        return self.joined(layers.upsample(x), y)


class Preact(TwoLayers):
    """join(x, W2 a(n(W1 a(n(x)))))      (He et al. 2016)"""

    def branch(
        self, x: Tensor, labels: Tensor | None = None, *, first: Layer | None = None, last: Layer | None = None
    ) -> Tensor:
        y = (first or self.layer1)(activation(normalise(self.norm1, x, labels)))
        return (last or self.layer2)(activation(normalise(self.norm2, y, labels)))

    def norms_before_first_layer(self) -> list[nn.Module]:
        return [self.norm, self.norm1]

    def downsampled(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.normalised(x, labels)
        y = self.branch(x, labels, last=partial(layers.downsampled_conv, layer=self.layer2))
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

    It has no norm, ends in a convolution without a bias, and has nothing after the join. Raises ValueError for options
    that it does not support.
    """

    branch_layers = ("layer1", "layer2", "layer3")
    expansion = 2

    def __init__(
        self,
        width: int,
        options: BlockOptions | None = None,
        *,
        layer: MakeLayer = layers.conv3x3,  # only this one is valid
        classes: int = 0,  # only 0 is valid
        **fields: Any,
    ) -> None:
        super().__init__(width, options, **fields)
        norm, group_size = self.options.norm, self.options.group_size
        if layer is layers.linear:
            raise ValueError("block=bottleneck: is made of convolutions, for images; use preact, postact or stylegan2")
        if norm != "none":
            raise ValueError(f"norm={norm}: block=bottleneck has no place for a norm; use none")
        if classes:
            raise ValueError("conditional=norm: block=bottleneck has no place for a norm; use concat")
        inner = self.expansion * width
        if inner % group_size:
            raise ValueError(f"group_size={group_size}: does not divide {self.expansion} x width, {inner}")
        self.layer1 = layers.conv1x1(width, inner)
        self.layer2 = layers.Conv3x3(inner, inner, groups=inner // group_size)
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


def make_block(width: int, options: BlockOptions, *, layer: MakeLayer = layers.conv3x3, classes: int = 0) -> Block:
    """Make a block of the kind named in its options."""
    return BLOCKS[options.kind](width, options, layer=layer, classes=classes)


def branches(net: nn.Module) -> list[list[str]]:
    """List the names of the weights of each branch, for initialisations that treat a branch as a whole."""
    return [
        [f"{name}.{layer}.weight".removeprefix(".") for layer in block.branch_layers]
        for name, block in net.named_modules()
        if isinstance(block, Block)
    ]


def annealed_blocks(net: nn.Module) -> list[Block]:
    return [block for block in net.modules() if isinstance(block, Block) and block.share is not None]
