"""The penalties on D's gradient: functions from samples and logits to one number, without weights and schedules.

Logits are (N,), or (S, N) for a stack of GANs; samples have the same dimensions, followed by more.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def gradient(samples: Tensor, logits: Tensor) -> Tensor:
    """Compute d D(x) / d x, in the shape of `samples`; the result is itself differentiable."""
    (found,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return found


def zero_centred(samples: Tensor, logits: Tensor) -> Tensor:
    """E |grad D(x)|^2: R1 on real samples, R2 on fakes (Mescheder et al. 2018, equation 9, without gamma / 2)."""
    return gradient(samples, logits).square().flatten(logits.ndim).sum(-1).mean(-1)


def one_centred(samples: Tensor, logits: Tensor) -> Tensor:
    """E (|grad D(x)| - 1)^2 (Gulrajani et al. 2017, equation 3, without lambda)."""
    norm = gradient(samples, logits).flatten(logits.ndim).norm(dim=-1)
    return (norm - 1).square().mean(-1)


def gradient_penalty(disc: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """E (|grad D(x)| - 1)^2 at points between real and fake (WGAN-GP); `mix` (N,) in [0, 1] says where."""
    mix = mix.view(*mix.shape, *[1] * (real.ndim - mix.ndim))
    between = (mix * real + (1 - mix) * fake).requires_grad_()
    return one_centred(between, disc(between))
