"""Score cards: how a score was made, and how its number is read.

Two scores may be compared where they were made alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from resgan.base.plain_data import PlainData
from resgan.options.choices import Counted, Direction, Scale

Cards = dict[str, PlainData]  # by name of the score

READING = ("direction", "scale", "counted")  # the fields of a card that say how its number is read


@dataclass(frozen=True)
class Reading:
    """Reading of one number of a score."""

    direction: Direction = "none"  # which values are better; none: best in the middle, or a spread
    scale: Scale = "plain"  # of the intervals: the logit of a share, the logarithm of a distance
    counted: Counted = "n_fake"  # the denominator of a share, as the card names it
    meaning: str = ""  # in a few words
    missing: str = ""  # why there is no number, where there is none

    @property
    def on_card(self) -> PlainData:
        return {"direction": self.direction, "scale": self.scale, "counted": self.counted}


def how_made(card: PlainData) -> PlainData:
    """Return a card without the fields that say how its number is read."""
    return {key: value for key, value in card.items() if key not in READING}


def first_card_difference(first: Cards, second: Cards) -> tuple[str, Sequence[tuple[str, object, object]]] | None:
    """Return the first score made in two ways, with (field, first, second) of all differences; None where all agree."""
    for name in dict.fromkeys([*first, *second]):
        a, b = how_made(first.get(name) or {}), how_made(second.get(name) or {})
        if fields := [(key, a.get(key), b.get(key)) for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)]:
            return name, fields
    return None
