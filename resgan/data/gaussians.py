"""A grid of Gaussians in the plane, with known modes: the testbed of Lin et al. 2018 (PacGAN)."""

import math

import torch
from torch import Tensor

from resgan.base.rng import make_generator
from resgan.data.dataset import DataError, Dataset
from resgan.data.modes import SD, line_of_modes


def centres(modes: int) -> Tensor:
    """Return the modes (modes, 2), on a square grid around the origin: for 25, at -4, -2, 0, 2, 4 in each direction."""
    side = math.isqrt(modes)
    if side < 2 or side * side != modes:
        raise DataError(f"data.modes={modes}: the grid is square; expected 4, 9, 16, 25, ...")
    line = torch.tensor(line_of_modes(modes))
    return torch.cartesian_prod(line, line)


def draw(count: int, *, modes: int, generator: torch.Generator) -> Tensor:
    """Draw `count` points (count, 2) from the mixture."""
    return draw_labelled(count, modes=modes, generator=generator)[0]


def draw_labelled(count: int, *, modes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the same points (count, 2), and return the mode of each, int64 (count,)."""
    labels = torch.randint(modes, (count,), generator=generator)
    return centres(modes)[labels] + SD * torch.randn(count, 2, generator=generator), labels


def load_gaussians(
    *,
    modes: int,
    size: int,  # points to train on; as many again are held out
    seed: int,
) -> Dataset:
    """Draw the data set, whose classes are the modes, numbered as in `centres`."""
    (train, labels), (holdout, holdout_labels) = (
        draw_labelled(size, modes=modes, generator=make_generator(seed, "gaussians", split))
        for split in ("train", "holdout")
    )
    return Dataset(
        name=f"gaussians{modes}",
        train=train,
        holdout=holdout,
        reference=train,
        split="train",
        classes=tuple(str(mode) for mode in range(modes)),
        labels=labels,
        holdout_labels=holdout_labels,
    )
