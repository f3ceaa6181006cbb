"""Controls of the skip: what it carries from a block's input to the join, in place of the input itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from resgan.nets.layers import FrozenMap
from resgan.options.block import BlockOptions


class Skip(nn.Module):
    """s(x) in join(s(x), F(x)), of the shape of x. A plain block owns it too, and does not use it.

    orthogonal  Q x, with an orthogonal map Q that never learns: a path that is linear, and not the identity
    forward     the value of x, and no gradient; while it is not `stopped`, x
    gradient    the gradient of x, and the value 0: x - stop(x); while it is not `stopped`, 0

    And times a learned number beta, which begins at `skip_scale`.

    So a block has one function at any time, and `stopped` chooses between the gradient of this function and another:
    forward, dy = dF for y = x + F; gradient, dy = dx + dF for y = F. Training stops a network for its own step by the
    loss of the game alone. Everyone else sees the function and its gradient.
    """

    def __init__(self, width: int, options: BlockOptions) -> None:
        super().__init__()
        self.kind = options.skip
        self.stopped = False
        self.map = FrozenMap(width) if options.skip == "orthogonal" else None
        self.beta = None if options.skip_scale is None else nn.Parameter(torch.tensor(options.skip_scale))

    def forward(self, x: Tensor) -> Tensor:
        match self.kind:
            case "orthogonal":
                assert self.map is not None
                x = self.map(x)
            case "forward":
                x = x.detach() if self.stopped else x
            case "gradient":
                x = x - x.detach() if self.stopped else torch.zeros_like(x)
        return x if self.beta is None else self.beta * x


def make_skip(width: int, options: BlockOptions) -> Skip | None:
    """None: the skip carries x."""
    return None if options.skip == "identity" and options.skip_scale is None else Skip(width, options)


def skips_that_stop(net: nn.Module) -> list[Skip]:
    """The skips of a network that pass on one of value and gradient."""
    return [skip for skip in net.modules() if isinstance(skip, Skip) and skip.kind in ("forward", "gradient")]


@contextmanager
def stopped(skips: Sequence[Skip]) -> Iterator[None]:
    """Gradients of what is computed here are those that the skips let pass."""
    for skip in skips:
        skip.stopped = True
    try:
        yield
    finally:
        for skip in skips:
            skip.stopped = False
