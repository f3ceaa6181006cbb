"""1,200 hard-edged shapes, of which a GAN sees half: the first testbed of images, earlier called shapes.

4 forms x 6 colours x 2 sizes x 25 positions on black, at 16 x 16. A sample is valid when it lies within TAU of a
template; the forms are chosen so that two templates are never closer than 2 TAU, so a valid sample belongs to one only.
"""

from itertools import product

import torch
from torch import Tensor

from resgan.base.rng import make_generator
from resgan.data.dataset import DataError, Dataset

BASE_SIZE = 16  # pixels; other sizes repeat pixels
POSITIONS = 25  # 5 x 5, two pixels apart
FORM_SIZES = {"small": 6, "large": 8}
COLOURS = {
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "yellow": (1, 1, 0),
    "magenta": (1, 0, 1),
    "cyan": (0, 1, 1),
}
FORMS = ("square", "frame", "plus", "cross")
CLASSES = len(FORMS) * len(COLOURS) * len(FORM_SIZES)  # 48

# Half the smallest L2 distance between two templates on [-1, 1] is sqrt(12) = 3.46 (a small cross in two colours that
# share all but one channel); less a margin, so that even a half-and-half blend of the two, as uint8, is invalid.
TAU = 3.4


def form(name: str, size: int) -> Tensor:
    """Draw the mask (size, size) of a form. Raises ValueError for other names."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    edge = torch.stack([y, x, size - 1 - y, size - 1 - x]).amin(0)
    centre = (size - 1) / 2
    match name:
        case "square":
            return edge >= 0
        case "frame":
            return edge == 0
        case "plus":
            return ((y - centre).abs() < 1) | ((x - centre).abs() < 1)
        case "cross":
            return (y == x) | (y + x == size - 1)
    raise ValueError(name)


def templates(size: int = BASE_SIZE) -> Tensor:
    """Draw all 1,200 images (1200, 3, size, size), uint8, ordered by form, colour, form size, row, column."""
    if size % BASE_SIZE or size <= 0:
        raise DataError(f"data.size={size}: shapes are drawn at multiples of {BASE_SIZE}; expected 16, 32, 48, ...")
    images = []
    for name in FORMS:
        for colour in COLOURS.values():
            for form_size in FORM_SIZES.values():
                ink = form(name, form_size) * torch.tensor(colour).view(3, 1, 1) * 255
                for position in range(POSITIONS):
                    top, left = 2 * (position // 5), 2 * (position % 5)
                    canvas = torch.zeros(3, BASE_SIZE, BASE_SIZE, dtype=torch.uint8)
                    canvas[:, top : top + form_size, left : left + form_size] = ink
                    images.append(canvas)
    times = size // BASE_SIZE
    return torch.stack(images).repeat_interleave(times, 2).repeat_interleave(times, 3)


def classes() -> Tensor:
    """Return the form x colour x size class of each template (1200,), 0 to 47."""
    return torch.arange(CLASSES).repeat_interleave(POSITIONS)


def class_names() -> tuple[str, ...]:
    """Return names by class: "square-red-small", "square-red-large", "square-green-small", ..."""
    return tuple("-".join(words) for words in product(FORMS, COLOURS, FORM_SIZES))


def tau(size: int) -> float:
    """Return the largest distance of a valid image from a template, in L2 on [-1, 1]."""
    return TAU * size / BASE_SIZE


def trained_half(seed: int) -> Tensor:
    """Draw the 600 templates to train on (1200,), bool: 12 or 13 of the 25 positions of each class, by `seed`."""
    generator = make_generator(seed, "shapes")
    order = torch.rand(CLASSES, POSITIONS, generator=generator).argsort(1).argsort(1)
    counts = torch.full((CLASSES,), POSITIONS // 2)
    counts[torch.randperm(CLASSES, generator=generator)[: CLASSES // 2]] += 1
    return (order < counts.view(-1, 1)).flatten()


def load_shapes_hard(
    *,
    size: int,  # pixels
    seed: int,  # decides which half is trained on
) -> Dataset:
    """Load the data set. Its reference is all 1,200 images: the trained half alone would reward copying it."""
    images, trained = templates(size), trained_half(seed)
    return Dataset(
        name=f"shapes{size}",  # as on the cards of earlier runs, so that scores of both may be in one table
        train=images[trained],
        holdout=images[~trained],
        reference=images,
        split="all",
        classes=class_names(),
        labels=classes()[trained],
        holdout_labels=classes()[~trained],
    )
