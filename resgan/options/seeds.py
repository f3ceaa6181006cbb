"""Lists of seeds as typed by the user."""

import re

from resgan.base.errors import OptionsError

MOST_SEEDS = 10_000_000


def parse_seeds(text: str) -> list[int]:
    """Parse a list of seeds: "0,2,5-7" -> [0, 2, 5, 6, 7]. Raises OptionsError."""
    seeds: list[int] = []
    for part in str(text).split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last or last - first + len(seeds) >= MOST_SEEDS or last >= 2**63:
            raise OptionsError(f"seeds={text}: expected numbers and ranges, e.g. 0-63 or 1,5,8-12")
        seeds += range(first, last + 1)
    return seeds
