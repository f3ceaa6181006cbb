"""Made-up scores with chosen numbers."""

from collections.abc import Callable, Mapping

from torch import Tensor

from resgan.metrics.cards import Reading
from resgan.metrics.score import Score


class MadeScore(Score):
    """A score whose value is what a given function computes from the samples."""

    def __init__(self, *names: str, compute: Callable[[Tensor], dict[str, float]] = lambda _: {}) -> None:
        super().__init__()
        self.made, self.of_samples = names, compute
        self.found: dict[str, float] = {}

    @property
    def readings(self) -> Mapping[str, Reading]:
        return {name: Reading("lower") for name in self.made}

    def update(self, samples: Tensor) -> None:
        self.found = self.of_samples(samples)

    def compute(self) -> dict[str, float]:
        return self.found
