"""Augmentation of the images that D sees, real and fake alike, in its own step and in G's; and its probability.

The operations and their ranges are those of Zhao et al. 2020, for images in [-1, 1], and a flip. Zhao et al. always
apply them, p = 1. Karras et al. 2020 apply each with probability p, so that G does not learn to generate augmented
images (section 2.2), and let p follow a measure of overfitting (section 3).

Nothing here waits for the device, where p and the measures may live, or changes images in place. An augmented image can
be differentiated twice, as the penalties on D's gradient require.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from resgan.base.processes import ALONE, Processes
from resgan.options.choices import Operation

NUMBERS = 3  # random numbers: the most that an operation uses for an image


# The operations: images (N, C, H, W), and `u` (NUMBERS, N, 1, 1, 1), uniform on [0, 1).


def whole(u: Tensor, low: int, high: int) -> Tensor:
    """Convert u to a whole number, uniform on low, ..., high."""
    return (u * (high - low + 1)).long() + low


def flip(images: Tensor, u: Tensor) -> Tensor:
    """Mirror each image with probability 1/2: at p = 1 too D sees both forms (Karras et al. 2020, appendix B)."""
    return torch.where(u[0] < 0.5, images.flip(3), images)


def translation(images: Tensor, u: Tensor) -> Tensor:
    """Shift by up to an eighth of the sides, down or up and right or left; pixels from outside are 0."""
    height, width = images.shape[2:]
    down, right = (height + 4) // 8, (width + 4) // 8  # to the nearest pixel, halves upwards
    row = torch.arange(height, device=images.device).view(-1, 1) - whole(u[0], -down, down)
    column = torch.arange(width, device=images.device) - whole(u[1], -right, right)
    outside = (row < 0) | (row >= height) | (column < 0) | (column >= width)
    # Roll, then blank: no pixel is read twice, so the gradient sums nothing in an undefined order.
    source = (row % height * width + column % width).flatten(2).expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, source).view(images.shape).masked_fill(outside, 0)


def colour(images: Tensor, u: Tensor) -> Tensor:
    """Brightness + U(-0.5, 0.5), then saturation * U(0, 2), then contrast * U(0.5, 1.5).

    Saturation is about the mean over channels, contrast about the mean over the image. The result is not clipped to
    [-1, 1], since clipped values have no gradient. It is computed in float32 or better, and rounded once.
    """
    bright = images + (u[0] - 0.5)
    grey = bright.mean(1, keepdim=True)
    saturated = grey + 2 * u[1] * (bright - grey)
    mean = saturated.mean((1, 2, 3), keepdim=True)
    return (mean + (u[2] + 0.5) * (saturated - mean)).to(images.dtype)


def window(side: int, u: Tensor) -> Tensor:
    """Return a mask (N, 1, 1, side): True over half of the side, about a uniform centre."""
    width = (side + 1) // 2
    # For an odd width the centre is a pixel, for an even one it is one of the side + 1 pixel edges.
    first = whole(u, 0, side - width % 2) - width // 2
    place = torch.arange(side, device=u.device)
    return (place >= first) & (place < first + width)


def cutout(images: Tensor, u: Tensor) -> Tensor:
    """Set a window of half of each side, about a uniform centre, to 0; its part beyond the border is lost."""
    height, width = images.shape[2:]
    return images.masked_fill(window(height, u[0]).mT & window(width, u[1]), 0)


# In the order of application, that of Zhao et al.: colour comes before translation, whose zeros stay 0.
OPERATIONS: dict[Operation, Callable[[Tensor, Tensor], Tensor]] = {
    "flip": flip,
    "colour": colour,
    "translation": translation,
    "cutout": cutout,
}


def augment(
    images: Tensor,  # (N, C, H, W), nominally in [-1, 1]
    *,
    operations: Sequence[Operation],  # applied in the order of OPERATIONS
    p: float | Tensor,  # each is applied to each image with this probability, independently
    random: torch.Generator,  # on the CPU
    processes: Processes = ALONE,  # that share the batch of which these images are a part
) -> Tensor:
    """Apply the operations to images; keeps their dtype and memory format.

    Every image uses the same number of random draws, whatever p and the operations: neither shifts the other draws,
    and a batch in two parts is augmented like the whole.
    """
    count = processes.count * len(images)
    u = processes.share(torch.rand(count, len(OPERATIONS), 1 + NUMBERS, generator=random, dtype=torch.float32))
    u = u.to(images.device, non_blocking=True).permute(1, 2, 0)[..., None, None, None]
    for (name, operation), (once, *_), numbers in zip(OPERATIONS.items(), u, u[:, 1:], strict=True):
        if name in operations:
            # Untouched images first, since `where` keeps the memory format of its first operand that has one.
            images = torch.where(once >= p, images, operation(images, numbers))
    return images


# Measures that an adaptive p follows: functions from logits to one number.


def r_t(real: Tensor) -> Tensor:
    """E sign D(x) over training images: 0 for no overfitting, 1 for complete (Karras et al. 2020, equation 1).

    It means nothing for relativistic and Wasserstein losses, which fix D only up to a constant and so not its sign,
    nor for least squares, whose midpoint is D = 1/2.
    """
    return real.sign().mean(-1)


def r_v(train: Tensor, holdout: Tensor, fake: Tensor) -> Tensor:
    """(E D(train) - E D(holdout)) / (E D(train) - E D(fake)), likewise from 0 to 1 (Karras et al. 2020, equation 1).

    It is made of differences only, so it holds for every loss. 0 where D does not rate training images above fakes: it
    cannot have memorised any, and the ratio would be noise of any size and sign.
    """
    gap = train.mean(-1) - fake.mean(-1)
    return ((train.mean(-1) - holdout.mean(-1)) / gap).masked_fill(gap <= 0, 0)


def adapted(
    p: Tensor,
    *,
    measure: Tensor,  # r_t or r_v
    target: float,  # p rises where the measure is above, falls where it is below
    images: int,  # that D has seen since p last moved
    length: float,  # images in which p would go from 0 to 1
) -> Tensor:
    """Return the next p, in [0, 1] (Karras et al. 2020, section 3)."""
    return (p + images / length * (measure - target).sign().to(p.dtype)).clamp(0, 1)
