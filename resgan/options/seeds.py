"""Lists of seeds as typed by the user."""

import re

from resgan.base.errors import OptionsError
from resgan.base.plain_data import shortened

MOST_SEEDS = 10_000_000


def parse_seeds(text: str, *, most: int = MOST_SEEDS) -> list[int]:
    """Parse a list of seeds: "0,2,5-7" -> [0, 2, 5, 6, 7]. Raises OptionsError, also for too many."""
    seeds: list[int] = []
    for part in str(text).split(","):
        match = re.fullmatch(r"\s*(\d{1,19})(?:-(\d{1,19}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last < 2**63:
            raise OptionsError(f"seeds={shortened(text)}: expected numbers and ranges, e.g. 0-63 or 1,5,8-12")
        if last - first + len(seeds) >= most:
            raise OptionsError(f"seeds={shortened(text)}: expected at most {most} seeds")
        seeds += range(first, last + 1)
    return seeds
