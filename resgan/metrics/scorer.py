"""Scores of a run, all of one set of samples."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from resgan.base.images import as_uint8
from resgan.base.plain_data import PlainData
from resgan.base.processes import Processes, exchanging
from resgan.metrics.features import Extractor, extract
from resgan.metrics.score import Score
from resgan.options.choices import NormMode


def gather_states(state: Tensor, group: Any = None) -> list[Tensor]:
    """Gather a state of a score from all processes. Raises ProcessLost where one has ended."""
    with exchanging():
        return gather_all_tensors(state, group)


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """All scores of one set of samples. The first number of the first score is the primary endpoint."""

    samples: int  # how many are drawn
    norm_mode: NormMode  # of the generator that draws them
    scores: list[Score]
    extractor: Extractor | None = None  # one pass of it serves all scores of features
    progress: str | None = None  # label of a progress bar for that pass; None: no bar
    left_out: Mapping[str, str] = field(default_factory=dict)  # scores that cannot be computed, and why

    def measure(self, samples: Tensor) -> PlainData:
        """Numbers by name, of samples (N, ...)."""
        features = None
        if self.extractor is not None:
            features = extract(self.extractor, as_uint8(samples), progress=self.progress)
        found: PlainData = {}
        for score in self.scores:
            score.reset()
            if score.needs == "features":
                score.update(samples, features=features)
            else:
                score.update(samples)
            found |= score.scores()
            score.reset()  # frees the samples
        return found

    def not_computed(self, scores: Mapping[str, float | None]) -> dict[str, str]:
        """Say why there is no number: for each score that was left out, and for each of `scores` without a value."""
        missing = {name: how.missing for score in self.scores for name, how in score.readings.items()}
        none = {name: missing[name] or "it has no value" for name, value in scores.items() if value is None}
        return {**self.left_out, **none}

    def join(self, processes: Processes) -> None:
        """Measure the samples of all processes together from here on; each gives its own."""
        for score in self.scores:
            score.dist_sync_fn = gather_states if processes.count > 1 else None

    def prepare(self) -> None:
        """Precompute the reference statistics; otherwise the first call to `measure` does."""
        for score in self.scores:
            score.prepare()

    def ideal_scores(self) -> dict[str, float]:
        """Scores of a perfect generator, where they are known."""
        return {name: value for score in self.scores for name, value in score.ideal_scores().items()}

    @property
    def cards(self) -> dict[str, PlainData]:
        return {name: card for score in self.scores for name, card in score.cards().items()}

    @property
    def meanings(self) -> dict[str, str]:
        """Meanings of scores in a few words, by name; scores without one are left out."""
        readings = {name: how for score in self.scores for name, how in score.readings.items()}
        return {name: how.meaning for name, how in readings.items() if how.meaning}

    @property
    def primary(self) -> str:
        """Name of the score that ranks runs and selects the best checkpoint; lower is better."""
        return self.scores[0].names[0]

    @property
    def worst(self) -> float:
        """Primary endpoint of a diverged run."""
        return 1.0 if self.primary == "tv" else math.inf
