"""The penalties on D's gradient: functions from samples and logits to one number, free of weights and schedules."""

from collections.abc import Callable

import torch
from torch import Tensor


def gradient(samples: Tensor, logits: Tensor) -> Tensor:
    """d D(x) / d x, of the shape of `samples`, itself differentiable."""
    (found,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return found


def zero_centred(samples: Tensor, logits: Tensor) -> Tensor:
    """E |grad D(x)|^2: R1 on real samples, R2 on fakes (Mescheder et al. 2018, equation 9, without gamma / 2)."""
    return gradient(samples, logits).square().flatten(1).sum(1).mean()


def one_centred(samples: Tensor, logits: Tensor) -> Tensor:
    """E (|grad D(x)| - 1)^2 (Gulrajani et al. 2017, equation 3, without lambda)."""
    norm = gradient(samples, logits).flatten(1).norm(dim=1)
    return (norm - 1).square().mean()


def gradient_penalty(disc: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """`one_centred` at points between real and fake; `mix` (N,) in [0, 1] says where."""
    mix = mix.view(-1, *[1] * (real.ndim - 1))
    between = (mix * real + (1 - mix) * fake).requires_grad_()
    return one_centred(between, disc(between))
