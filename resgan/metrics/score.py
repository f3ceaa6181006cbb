"""Base of all scores: a torchmetrics.Metric that says how each of its numbers is read.

What a score keeps of the samples are states that are summed, or concatenated, over processes, so that it works in any
Lightning module. `reset` forgets the samples; the real side is not a state and stays.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from resgan.base.device import has_float64
from resgan.base.plain_data import PlainData
from resgan.metrics.cards import Reading


class Score(Metric):
    """Base of a score, or of several computed together; compute() gives one number, or several by name."""

    full_state_update = False
    is_differentiable = False
    higher_is_better = None
    needs: ClassVar[Literal["samples", "features"]] = "samples"

    def __init__(self, *, card: PlainData | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.card = card or {}  # how it was measured: two scores may be compared where their cards are equal

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> nn.Module:
        """Move the states with a module, but not to a device without float64, such as MPS: scores then stay where
        they are, and take samples from there.
        """
        return super()._apply(fn, exclude_state) if has_float64(fn(torch.zeros(())).device.type) else self

    @property
    def readings(self) -> Mapping[str, Reading]:
        """Readings of the numbers by name, in their order."""
        raise NotImplementedError

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.readings)

    def prepare(self) -> None:
        """Precompute what the real side contributes; otherwise the first call to `compute` does."""

    def ideal_scores(self) -> dict[str, float]:
        """Expected values of a perfect generator with as many samples, by name, where they are known."""
        return {}

    def scores(self) -> dict[str, float | None]:
        """The numbers by name; None where a score has no value."""
        found = self.compute()
        by_name = found if isinstance(found, dict) else {self.names[0]: found}
        return {name: as_number(value) for name, value in by_name.items()}

    def cards(self) -> dict[str, PlainData]:
        """The card of each number, with how it is read."""
        return {name: self.card | how.on_card for name, how in self.readings.items()}


def as_number(value: Any) -> Any:
    value = value.item() if isinstance(value, Tensor) else value
    return None if isinstance(value, float) and math.isnan(value) else value
