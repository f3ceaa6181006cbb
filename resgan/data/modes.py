"""Places of the modes of the grid of Gaussians, as plain numbers."""

import math

SPACING, SD = 2.0, 0.05


def line_of_modes(modes: int) -> list[float]:
    """Return the coordinates of the modes in each direction: for 25, -4, -2, 0, 2, 4."""
    side = math.isqrt(modes)
    return [SPACING * (k - (side - 1) / 2) for k in range(side)]
