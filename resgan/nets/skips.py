"""Controls of the skip: functions of a block's input that it passes to the join, in place of the input itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from resgan.nets.layers import FrozenMap
from resgan.options.block import BlockOptions


class Skip(nn.Module):
    """s(x) in join(s(x), F(x)), of the shape of x. A plain block owns it too, but does not use it.

    orthogonal  Q x, with an orthogonal map Q that never learns: a path that is linear, but not the identity
    forward     the value of x without its gradient; x itself while not `stopped`
    gradient    the gradient of x with the value 0, x - stop(x); 0 while not `stopped`

    With `skip_scale`, s(x) is also multiplied by a learned number beta, which begins there.

    So the function of a block never changes, and `stopped` chooses between its own gradient and another: forward,
    dy = dF for y = x + F; gradient, dy = dx + dF for y = F. Training stops the skips of a network only in that
    network's own step, and only for the loss of the game. Everything else sees the function and its own gradient.
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
    """Make the control of a skip; None where the skip carries x itself."""
    return None if options.skip == "identity" and options.skip_scale is None else Skip(width, options)


def skips_that_stop(net: nn.Module) -> list[Skip]:
    """List the skips of a network that pass on only the value or only the gradient."""
    return [skip for skip in net.modules() if isinstance(skip, Skip) and skip.kind in ("forward", "gradient")]


@contextmanager
def stopped(skips: Sequence[Skip]) -> Iterator[None]:
    """Stop the skips in this context: gradients pass only as the skips let them."""
    for skip in skips:
        skip.stopped = True
    try:
        yield
    finally:
        for skip in skips:
            skip.stopped = False
