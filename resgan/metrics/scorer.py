"""What a run is scored by: measures, and the cards that say what their numbers mean."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Scores that are found together."""

    names: tuple[str, ...]
    of: Callable[[Tensor], dict[str, Any]]  # samples -> scores by name
    card: dict[str, Any]  # plain data: two scores may be compared where their cards are equal
    prepare: Callable[[], None] = lambda: None  # make what the reals contribute, now rather than at the first measuring
    floors: Callable[[], dict[str, float]] = dict  # what a perfect generator would score, by name, where that is known


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """All that is measured on one set of samples. The first score of the first measure is the primary endpoint."""

    samples: int  # how many are drawn
    norm_mode: Literal["running", "batch", "recomputed"]  # of the generator that they are drawn from
    measures: list[Measure]

    def measure(self, samples: Tensor) -> dict[str, Any]:
        return {name: value for measure in self.measures for name, value in measure.of(samples).items()}

    def prepare(self) -> None:
        """Make what the reals contribute; otherwise the first measuring does."""
        for measure in self.measures:
            measure.prepare()

    def floors(self) -> dict[str, float]:
        """What a perfect generator would score, where that is known."""
        return {name: value for measure in self.measures for name, value in measure.floors().items()}

    @property
    def cards(self) -> dict[str, dict[str, Any]]:
        return {name: measure.card for measure in self.measures for name in measure.names}

    @property
    def primary(self) -> str:
        """The score that ranks runs and finds the best checkpoint; lower is better."""
        return self.measures[0].names[0]

    @property
    def worst(self) -> float:
        """The primary endpoint of a run that diverged."""
        return 1.0 if self.primary == "tv" else math.inf
