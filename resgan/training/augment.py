"""Augmentation of what D is shown, real and fake alike, in its own step and in G's; and how often.

The operations and their ranges are those of Zhao et al. 2020, for images in [-1, 1], and the flip. Zhao et al. apply
them always, p = 1. Karras et al. 2020 apply each with probability p, so that G is not taught the augmented images
themselves (section 2.2), and let p follow a measure of overfitting (section 3).

Nothing here waits for the device, p and the measures may live there, and nothing writes into the images. An augmented
image may be differentiated twice, as the penalties on D's gradient need.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from resgan.options.choices import Operation

NUMBERS = 3  # the most that one operation uses for one image


# The operations: images (N, C, H, W), and `u` (NUMBERS, N, 1, 1, 1), uniform on [0, 1).


def whole(u: Tensor, low: int, high: int) -> Tensor:
    """A whole number, uniform on low, ..., high."""
    return (u * (high - low + 1)).long() + low


def flip(images: Tensor, u: Tensor) -> Tensor:
    """Left and right exchanged, for one image in two: at p = 1 too D is shown both (Karras et al. 2020, appendix B)."""
    return torch.where(u[0] < 0.5, images.flip(3), images)


def translation(images: Tensor, u: Tensor) -> Tensor:
    """Moved down and right by up to an eighth of the sides (or up and left); what comes in from outside is 0."""
    height, width = images.shape[2:]
    down, right = (height + 4) // 8, (width + 4) // 8  # to the nearest pixel, a half upwards
    row = torch.arange(height, device=images.device).view(-1, 1) - whole(u[0], -down, down)
    column = torch.arange(width, device=images.device) - whole(u[1], -right, right)
    outside = (row < 0) | (row >= height) | (column < 0) | (column >= width)
    # Rolled round, then blanked: no pixel is read twice, so the gradient adds nothing up in an order of its own.
    source = (row % height * width + column % width).flatten(2).expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, source).view(images.shape).masked_fill(outside, 0)


def colour(images: Tensor, u: Tensor) -> Tensor:
    """Brightness + U(-0.5, 0.5), then saturation * U(0, 2), then contrast * U(0.5, 1.5).

    Saturation is about the mean over channels, contrast about the mean over the image. The result is not clipped to
    [-1, 1]: there would be no gradient beyond. It is computed in float32 or better, and rounded once.
    """
    bright = images + (u[0] - 0.5)
    grey = bright.mean(1, keepdim=True)
    saturated = grey + 2 * u[1] * (bright - grey)
    mean = saturated.mean((1, 2, 3), keepdim=True)
    return (mean + (u[2] + 0.5) * (saturated - mean)).to(images.dtype)


def window(side: int, u: Tensor) -> Tensor:
    """(N, 1, 1, side): True in half of the side, about a uniform centre."""
    width = (side + 1) // 2
    # The centre is a pixel where the width is odd, and one of the side + 1 edges of pixels where it is even.
    first = whole(u, 0, side - width % 2) - width // 2
    place = torch.arange(side, device=u.device)
    return (place >= first) & (place < first + width)


def cutout(images: Tensor, u: Tensor) -> Tensor:
    """0 in a window of half of each side, about a uniform centre; the part of it beyond the border is lost."""
    height, width = images.shape[2:]
    return images.masked_fill(window(height, u[0]).mT & window(width, u[1]), 0)


# In the order in which they are applied, which is that of Zhao et al.: what is moved in stays 0.
OPERATIONS: dict[Operation, Callable[[Tensor, Tensor], Tensor]] = {
    "flip": flip,
    "colour": colour,
    "translation": translation,
    "cutout": cutout,
}


def augment(
    images: Tensor,  # (N, C, H, W), nominally in [-1, 1]
    *,
    operations: Sequence[Operation],  # which; their order is that of OPERATIONS
    p: float | Tensor,  # each is applied to each image with this probability, independently
    random: torch.Generator,  # on the CPU
) -> Tensor:
    """The images with the operations applied, in their dtype and memory format.

    Every image takes the same count of numbers, whatever p and the operations: neither changes the rest, and a batch
    in two parts is augmented as the whole is.
    """
    u = torch.rand(len(images), len(OPERATIONS), 1 + NUMBERS, generator=random, dtype=torch.float32)
    u = u.to(images.device, non_blocking=True).permute(1, 2, 0)[..., None, None, None]
    for (name, operation), (once, *_), numbers in zip(OPERATIONS.items(), u, u[:, 1:], strict=True):
        if name in operations:
            # The untouched images first: `where` keeps the memory format of the first that has one.
            images = torch.where(once >= p, images, operation(images, numbers))
    return images


# What an adaptive p needs: functions from logits to one number.


def r_t(real: Tensor) -> Tensor:
    """E sign D(x) over training images: 0 for no overfitting, 1 for complete (Karras et al. 2020, equation 1).

    It means nothing for a relativistic loss, nor for Wasserstein's: they fix D only up to a constant, and so its sign
    not at all. Nor for least squares, where D's middle is at 1/2.
    """
    return real.sign().mean(-1)


def r_v(train: Tensor, holdout: Tensor, fake: Tensor) -> Tensor:
    """(E D(train) - E D(holdout)) / (E D(train) - E D(fake)), likewise from 0 to 1 (Karras et al. 2020, equation 1).

    Made of differences only, so it holds for every loss. 0 where D does not rate training images above fakes: it has
    learnt nothing that it could have learnt by heart, and the ratio would be of noise, of any size and sign.
    """
    gap = train.mean(-1) - fake.mean(-1)
    return ((train.mean(-1) - holdout.mean(-1)) / gap).masked_fill(gap <= 0, 0)


def adapted(
    p: Tensor,
    *,
    measure: Tensor,  # r_t or r_v
    target: float,  # p rises where the measure is above, falls where it is below
    images: int,  # D has seen since the last step of p
    length: float,  # images in which p would go from 0 to 1
) -> Tensor:
    """The next p, in [0, 1] (Karras et al. 2020, section 3)."""
    return (p + images / length * (measure - target).sign().to(p.dtype)).clamp(0, 1)
