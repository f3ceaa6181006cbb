"""Score cards: how a score was made. Two scores may be compared where their cards are equal."""

from collections.abc import Sequence

from resgan.base.plain_data import PlainData

Cards = dict[str, PlainData]  # by name of the score


def first_card_difference(first: Cards, second: Cards) -> tuple[str, Sequence[tuple[str, object, object]]] | None:
    """Return the first score made in two ways, with (field, first, second) of all differences; None for none."""
    for name in dict.fromkeys([*first, *second]):
        a, b = first.get(name) or {}, second.get(name) or {}
        if fields := [(key, a.get(key), b.get(key)) for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)]:
            return name, fields
    return None
