"""The response of a network to a change of its input, which a norm may hide from one arm alone."""

import torch
from torch import Tensor, nn


def halved(x: Tensor) -> Tensor:
    """Halve an input: images of half the contrast, latents half as far out."""
    return x / 2


def shift(images: Tensor) -> Tensor:
    """Brighten the first channel of images and darken the last: a shift of colour (of brightness, if grey)."""
    by = torch.linspace(1, -1, images.shape[1]) if images.shape[1] > 1 else torch.ones(1)
    return images + 0.5 * by.to(images).view(1, -1, *(1,) * (images.ndim - 2))


@torch.no_grad()
def relative_response(net: nn.Module, x: Tensor, changed: Tensor, *labels: Tensor) -> float:
    """Return the root mean square of net(changed) - net(x), over the spread of net(x) within the batch.

    0: the network hides the change from what comes after, or is dead; 1: the response is as large as the differences
    between samples.
    """
    before, after = net(x, *labels), net(changed, *labels)
    spread = float((before - before.mean(0)).square().mean().sqrt())
    return float((after - before).square().mean().sqrt()) / spread if spread else 0.0
