"""Schedules of settings: over the run, and over the burn-in, at whose end some reach a final value."""

import math
from dataclasses import dataclass
from typing import ClassVar, overload

import torch
from torch import Tensor, nn

from resgan.base.plain_data import PlainData
from resgan.options.choices import Adaptation, Decay, Operation
from resgan.training.settings import Setting
from resgan.training.stacked_adam import StackedAdam


@overload
def ramp(first: float, last: float | None, burnt_in: float) -> float: ...
@overload
def ramp(first: Setting, last: float | None, burnt_in: float) -> Setting: ...
def ramp(first: Setting, last: float | None, burnt_in: float) -> Setting:
    """Interpolate from `first` to `last` along a cosine, at a share `burnt_in` of the burn-in (Huang et al. 2024).

    Without `last`, the value stays `first`.
    """
    return first if last is None else first + (last - first) * (1 - math.cos(math.pi * burnt_in)) / 2


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam for one network, whose learning rate may fall to 0 over the run, or move over the burn-in."""

    lr: Setting
    betas: tuple[Setting, Setting]
    decay: Decay
    lr_final: float | None = None  # after the burn-in; None: constant
    beta2_final: float | None = None

    def optimiser(self, net: nn.Module) -> torch.optim.Adam:
        if any(isinstance(setting, Tensor) for setting in (self.lr, *self.betas)):
            return StackedAdam(net.parameters(), lr=self.lr, betas=self.betas)
        return torch.optim.Adam(net.parameters(), lr=self.lr, betas=self.betas, fused=True)

    @property
    def moves(self) -> bool:
        return self.decay != "none" or self.lr_final is not None or self.beta2_final is not None

    def at(self, *, progress: float, burnt_in: float = 0.0) -> PlainData:
        """Return the settings at these shares, from 0 to 1, of the run and of the burn-in."""
        share = {"none": 1.0, "linear": 1 - progress, "cosine": (1 + math.cos(math.pi * progress)) / 2}[self.decay]
        beta1, beta2 = self.betas
        return {
            "lr": ramp(self.lr, self.lr_final, burnt_in) * share,
            "betas": (beta1, ramp(beta2, self.beta2_final, burnt_in)),
        }


@dataclass(frozen=True, kw_only=True)
class Penalty:
    """A penalty of weight `weight`, applied every `interval` D steps with `interval` times its weight.

    In a stack, all members apply it or none does.
    """

    weight: Setting
    interval: int
    final: float | None = None  # the weight after the burn-in; None: constant

    def weight_at(self, step: int, *, burnt_in: float = 0.0) -> Setting:
        """Return the weight at D step `step`; 0 where it is not applied (Karras et al. 2020, appendix B)."""
        if step % self.interval or (burnt_in == 1 and self.final == 0):
            return 0.0
        return ramp(self.weight, self.final, burnt_in) * self.interval


@dataclass(frozen=True, kw_only=True, eq=False)
class Augmentation:
    """The augmentation of images before D sees them, and the schedule of its probability p.

    adapt: let p follow a measure of D's overfitting, r_t or r_v (Karras et al. 2020b, section 3), taken every few
    steps; p is then part of the state of the run.
    """

    operations: tuple[Operation, ...]
    p: float
    p_final: float | None = None  # after the burn-in; None: constant
    adapt: Adaptation = "none"
    target: float = 0.6
    length: float = 500_000  # images in which p goes from 0 to 1 at the fastest
    holdout: Tensor | None = None  # for r_v: held-out images, uint8
    holdout_labels: Tensor | None = None
    flip: bool = False  # mirror them at random, like the training images

    INTERVAL: ClassVar[int] = 4  # D steps between two measurements

    @property
    def adapts(self) -> bool:
        return self.adapt != "none"

    def p_at(self, burnt_in: float) -> float:
        """Return p, where it does not adapt, at a share `burnt_in`, from 0 to 1, of the burn-in."""
        return ramp(self.p, self.p_final, burnt_in)
