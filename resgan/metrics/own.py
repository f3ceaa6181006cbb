"""User-defined scores: a `resgan.Score`, or any torchmetrics.Metric of one number."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from resgan.base.errors import OptionsError
from resgan.base.images import to_float
from resgan.base.own_code import describe, load_named
from resgan.base.plain_data import PlainData
from resgan.metrics.cards import Reading
from resgan.metrics.score import Score
from resgan.options.choices import Direction

TRIED = 64  # real samples that a score is tried on before training


class Own(Score):
    """A torchmetrics.Metric of one number, named after its class."""

    def __init__(self, metric: Metric, *, card: PlainData) -> None:
        super().__init__(card=card)
        self.metric = metric

    @property
    def readings(self) -> Mapping[str, Reading]:
        directions: dict[bool | None, Direction] = {True: "higher", False: "lower", None: "none"}
        return {type(self.metric).__name__: Reading(directions[self.metric.higher_is_better])}

    def update(self, samples: Tensor) -> None:
        self.metric.update(samples)

    def compute(self) -> Any:
        return self.metric.compute()

    def reset(self) -> None:
        super().reset()
        self.metric.reset()


@contextlib.contextmanager
def by_itself(score: Score) -> Iterator[None]:
    """Compute a score of what this process has seen, while the other processes of its run do something else."""
    metrics = [module for module in score.modules() if isinstance(module, Metric)]
    before = [metric.distributed_available_fn for metric in metrics]
    for metric in metrics:
        metric.distributed_available_fn = lambda: False
    try:
        yield
    finally:
        for metric, available in zip(metrics, before, strict=True):
            metric.distributed_available_fn = available


def load_score(where: str, real: Tensor, *, card: PlainData) -> Score:
    """Load the score NAME(real) of file.py:NAME, and try it on real samples. Raises OptionsError.

    real: uint8 images (M, C, H, W), or points (M, 2). `update` takes floats in [-1, 1] of that shape; `compute` gives
    one number, or several by name where the score is a `resgan.Score`.
    """
    make, path = load_named(where, option="metrics.own", error=OptionsError)
    tried = real[:TRIED]
    try:
        score = make(real)
        if not isinstance(score, Metric):
            raise TypeError(f"makes a {type(score).__name__}; expected a resgan.Score or a torchmetrics.Metric")
        card = card | {"own": path.name, "own_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        if isinstance(score, Score):
            score.card = card
        else:
            score = Own(score, card=card)
        score.update(to_float(tried) if tried.dtype == torch.uint8 else tried)
        with by_itself(score):
            found = score.scores()
    except Exception as error:  # whatever the code raises
        raise OptionsError(f"metrics.own={where}: {describe(error)}") from error
    if wrong := {name: value for name, value in found.items() if not isinstance(value, int | float | None)}:
        name, value = next(iter(wrong.items()))
        raise OptionsError(f"metrics.own={where}: {name} is a {type(value).__name__}; expected one number")
    if tuple(found) != score.names:
        raise OptionsError(
            f"metrics.own={where}: compute() gives {', '.join(found)}, and readings has {', '.join(score.names)}"
        )
    score.reset()
    return score
