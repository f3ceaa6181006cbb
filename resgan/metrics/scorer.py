"""What a run is scored by."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """How samples are scored: pure functions, and the cards that say what their numbers mean."""

    samples: int  # how many are drawn
    measure: Callable[[Tensor], dict[str, Any]]  # samples -> scores by name
    cards: dict[str, dict[str, Any]]  # score -> its card
    primary: str  # the score that ranks runs and finds the best checkpoint; lower is better
    worst: float  # what it is for a run that diverged
