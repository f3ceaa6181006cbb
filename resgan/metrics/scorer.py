"""The scores of a run: measures, and the cards that say what their numbers mean."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from resgan.base.plain_data import PlainData
from resgan.options.choices import NormMode


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Scores that are found together."""

    names: tuple[str, ...]
    compute: Callable[[Tensor], PlainData]  # samples -> scores by name
    card: PlainData  # plain data: two scores may be compared where their cards are equal
    prepare: Callable[[], None] = lambda: None  # precompute the reference statistics
    ideal_scores: Callable[[], dict[str, float]] = dict  # of a perfect generator, by name
    meanings: Mapping[str, str] = field(default_factory=dict)  # in a few words, by name; not every score needs one


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """All that is measured on one set of samples. The first score of the first measure is the primary endpoint."""

    samples: int  # how many are drawn
    norm_mode: NormMode  # of the generator that they are drawn from
    measures: list[Measure]

    def measure(self, samples: Tensor) -> PlainData:
        return {name: value for measure in self.measures for name, value in measure.compute(samples).items()}

    def prepare(self) -> None:
        """Precompute the reference statistics; otherwise the first call to `measure` does."""
        for measure in self.measures:
            measure.prepare()

    def ideal_scores(self) -> dict[str, float]:
        """Scores of a perfect generator, where they are known."""
        return {name: value for measure in self.measures for name, value in measure.ideal_scores().items()}

    @property
    def cards(self) -> dict[str, PlainData]:
        return {name: measure.card for measure in self.measures for name in measure.names}

    @property
    def meanings(self) -> dict[str, str]:
        """Meanings of scores in a few words, by name; scores without one are left out."""
        return {
            name: measure.meanings[name]
            for measure in self.measures
            for name in measure.names
            if name in measure.meanings
        }

    @property
    def primary(self) -> str:
        """The score that ranks runs and finds the best checkpoint; lower is better."""
        return self.measures[0].names[0]

    @property
    def worst(self) -> float:
        """The primary endpoint of a run that diverged."""
        return 1.0 if self.primary == "tv" else math.inf
