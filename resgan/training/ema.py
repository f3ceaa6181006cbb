"""The averaged generator: an exponential moving average of the weights, whose half-life is counted in images."""

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def averaged(net: nn.Module) -> nn.Module:
    """Copy a network to hold its average: in eval mode, and never trained."""
    return copy.deepcopy(net).eval().requires_grad_(False)


def decay(*, images: int, halflife: float, images_seen: int, ramp: float) -> float:
    """Return the share of the old average that stays after a step of `images` images.

    The half-life grows with the run, up to ramp * images_seen, so that a short run does not average its start
    (Karras et al. 2020b, where ramp = 0.05).
    """
    halflife = min(halflife, ramp * images_seen) if ramp else halflife
    return 0.5 ** (images / max(halflife, 1e-8))


class Average:
    """The exponential moving average of a network's weights, held by another network of its kind.

    average = copy.deepcopy(net); Average(average, net).update(decay=0.999) after every step. Create it once both are
    on their device: tensors are listed only here, since listing them takes as long as a step of a small network, and a
    move to another device replaces buffers.
    """

    def __init__(self, average: nn.Module, net: nn.Module) -> None:
        self.held: list[Tensor] = list(average.parameters())
        self.current: list[Tensor] = list(net.parameters())
        self.buffers = list(zip(average.buffers(), net.buffers(), strict=True))

    @torch.no_grad()
    def update(self, *, decay: float) -> None:
        """average <- decay * average + (1 - decay) * net; buffers (running statistics) are copied."""
        get_ema_multi_avg_fn(decay)(self.held, self.current, None)
        for held, current in self.buffers:
            held.copy_(current)
