"""Bars in six colours at any place: a smooth manifold of small images, with an exact truth.

4 orientations of one bar x 6 colours on mid-grey, with soft edges, at 16 x 16; the centre lies anywhere in a square.
Every class is a sheet of images, whose two coordinates are those of the centre; a sample is valid when it lies within
TAU of a sheet. The sheets are never closer than 2 TAU, so a valid sample belongs to one class only.

Classes differ in orientation and colour alone: the bars are rotations of each other, so their edges, their energy and
their distances are alike, and all colours are equally far from the background.
"""

import math
from itertools import product

import torch
from torch import Tensor

from resgan.base.images import to_uint8
from resgan.base.rng import make_generator
from resgan.data.dataset import DataError, Dataset

# Lengths and places are in pixels of 16 x 16 images, whose middle is (7.5, 7.5); other sizes sample them more finely.
BASE_SIZE = 16
HALF_LENGTH = 4.3
# The integral of mask^2 over the plane is 18: so is its sum over the pixels, on average over centres, for each bar.
HALF_WIDTH = 1.5116938083788476
SOFTNESS = 0.5  # of the edges
LOW, HIGH = 4.5, 10.5  # of both coordinates of a centre

FORMS = {"horizontal": 0, "vertical": 90, "diagonal": 45, "antidiagonal": 135}  # degrees, clockwise as drawn
COLOURS = {  # the corners of the cube [-1, 1]^3 that are not black or white
    "red": (1, -1, -1),
    "green": (-1, 1, -1),
    "blue": (-1, -1, 1),
    "yellow": (1, 1, -1),
    "magenta": (1, -1, 1),
    "cyan": (-1, 1, 1),
}
CLASSES = len(FORMS) * len(COLOURS)  # 24
QUADRANTS = 4

# Half the smallest L2 distance between two classes on [-1, 1] is 5.555 / 2 = 2.78, by search over both centres (a
# test): that of a diagonal and a straight bar of one colour at nearly the same place. Colours of one bar are 8.4 apart.
# TAU is a twentieth less, so that an even blend of two classes is a sample of neither.
TAU = 2.64
ROUNDING = 0.0826  # median distance of a drawn image, as uint8, to its class (a test)

HOLDOUT, REFERENCE = 2_000, 10_000  # images


def class_names() -> tuple[str, ...]:
    """Return names by class: "horizontal-red", "horizontal-green", ..."""
    return tuple("-".join(words) for words in product(FORMS, COLOURS))


def tau(size: int) -> float:
    """Return the largest distance of a valid image from its class, in L2 on [-1, 1]."""
    return TAU * size / BASE_SIZE


def rounding(size: int) -> float:
    """Return the distance from its class of an image that is exact except for the rounding of its values."""
    return ROUNDING * size / BASE_SIZE


# Drawing.


def masks(forms: Tensor, centres: Tensor, *, size: int = BASE_SIZE) -> Tensor:
    """Draw the ink in [0, 1], (N, size, size), of bars of `forms` (N,) at `centres` (x, y), (N, 2).

    sigmoid(-d / SOFTNESS), where d = max(|u| - HALF_LENGTH, |v| - HALF_WIDTH) and u, v are along and across the bar.
    """
    along, across = coordinates(forms, centres, size=size)
    outside = torch.maximum(along.abs() - HALF_LENGTH, across.abs() - HALF_WIDTH)
    return torch.sigmoid(outside / -SOFTNESS)


def slopes(forms: Tensor, centres: Tensor, *, size: int = BASE_SIZE) -> Tensor:
    """Compute the derivatives of the masks by the coordinates of the centre: (N, 2, size, size)."""
    along, across = (part.unsqueeze(1) for part in coordinates(forms, centres, size=size))
    mask = masks(forms, centres, size=size).unsqueeze(1)
    direction = directions()[forms].to(centres.dtype)
    normal = torch.stack([-direction[:, 1], direction[:, 0]], dim=1)
    at_ends = along.abs() - HALF_LENGTH > across.abs() - HALF_WIDTH
    inward = torch.where(at_ends, along.sign() * direction.view(-1, 2, 1, 1), across.sign() * normal.view(-1, 2, 1, 1))
    return mask * (1 - mask) / SOFTNESS * inward


def coordinates(forms: Tensor, centres: Tensor, *, size: int) -> tuple[Tensor, Tensor]:
    """Compute the places of all pixels along and across the bars, from their centres: two (N, size, size)."""
    line = (torch.arange(size) + 0.5) * (BASE_SIZE / size) - 0.5
    dx, dy = (line - centres[:, :1]).unsqueeze(1), (line - centres[:, 1:]).unsqueeze(2)
    cosine, sine = directions()[forms].to(centres.dtype).view(-1, 2, 1, 1).unbind(1)
    return dx * cosine + dy * sine, dy * cosine - dx * sine


def directions() -> Tensor:
    """Return unit vectors (x, y) along the bars: (4, 2)."""
    angles = torch.tensor(list(FORMS.values()), dtype=torch.float64) * (math.pi / 180)
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def colours() -> Tensor:
    """Return the signs of the channels of each colour (6, 3)."""
    return torch.tensor(list(COLOURS.values()), dtype=torch.float32)


def render(labels: Tensor, centres: Tensor, *, size: int = BASE_SIZE) -> Tensor:
    """Draw images (N, 3, size, size), uint8, of classes `labels` (N,) at `centres` (N, 2). Raises DataError."""
    if size % BASE_SIZE or size <= 0:
        raise DataError(f"data.size={size}: shapes are drawn at multiples of {BASE_SIZE}; expected 16, 32, 48, ...")
    forms, hues = labels // len(COLOURS), labels % len(COLOURS)
    return to_uint8(masks(forms, centres, size=size).unsqueeze(1) * colours()[hues].view(-1, 3, 1, 1))


# Drawing at random.


def quadrants(centres: Tensor) -> Tensor:
    """Return the quadrant (N,) of centres (N, 2): 0 and 1 are above, left and right; 2 and 3 likewise below."""
    right, below = (centres >= (LOW + HIGH) / 2).long().unbind(1)
    return 2 * below + right


def withheld_quadrants(seed: int) -> Tensor:
    """Return the quadrant (24,) in which each class is not shown: a Latin arrangement, permuted by `seed`.

    (form + colour) mod 4 leaves out each quadrant once in each colour, and once or twice in each form. So of the 96
    triples 24 are withheld, and every pair of form and colour, form and quadrant, colour and quadrant is seen.
    """
    generator = make_generator(seed, "shapes", "withheld")
    form, colour, quadrant = (torch.randperm(count, generator=generator) for count in (4, 6, QUADRANTS))
    return quadrant[(form.view(-1, 1) + colour) % QUADRANTS].flatten()


def balanced_labels(count: int, generator: torch.Generator) -> Tensor:
    """Draw labels (count,) in random order: `count` // 24 of each class, and one more of `count` % 24 random ones."""
    kinds = torch.randperm(CLASSES, generator=generator)
    return kinds.repeat(-(-count // CLASSES))[:count][torch.randperm(count, generator=generator)]


def draw_centres(labels: Tensor, generator: torch.Generator, *, withheld: Tensor | None = None) -> Tensor:
    """Draw centres (N, 2), uniform over the square except for the quadrant `withheld` (24,) of their class."""
    quadrant = torch.randint(QUADRANTS if withheld is None else QUADRANTS - 1, labels.shape, generator=generator)
    if withheld is not None:
        quadrant += quadrant >= withheld[labels]
    corner = torch.stack([quadrant % 2, quadrant // 2], dim=1)
    return LOW + (corner + torch.rand(len(labels), 2, generator=generator)) * ((HIGH - LOW) / 2)


def draw(
    count: int, generator: torch.Generator, *, size: int = BASE_SIZE, withheld: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Draw `count` independent samples: images (count, 3, size, size), uint8, and labels (count,)."""
    labels = torch.randint(CLASSES, (count,), generator=generator)
    return render(labels, draw_centres(labels, generator, withheld=withheld), size=size), labels


def load_shapes(
    *,
    size: int,  # pixels
    count: int,  # images to train on
    withhold: bool,  # show no class in all of its quadrants
    seed: int,
) -> Dataset:
    """Draw the data set; the reference of Frechet distances is of the whole distribution, the same for every seed.

    The training set has equally many images of each class, as far as `count` allows, so that its own distance from
    uniform is 0. The held-out images are drawn like the training images, without what is withheld.
    """
    withheld = withheld_quadrants(seed) if withhold else None
    generator = make_generator(seed, "shapes", "train")
    labels = balanced_labels(count, generator)
    train = render(labels, draw_centres(labels, generator, withheld=withheld), size=size)
    holdout, holdout_labels = draw(HOLDOUT, make_generator(seed, "shapes", "holdout"), size=size, withheld=withheld)
    reference, _ = draw(REFERENCE, make_generator("shapes", "reference"), size=size)
    return Dataset(
        name=f"smooth_shapes{size}",
        train=train,
        holdout=holdout,
        reference=reference,
        split="draws",
        classes=class_names(),
        labels=labels,
        holdout_labels=holdout_labels,
    )
