"""From seeds to latents to samples: sample i depends on its seed and on nothing else."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from resgan.base.device import full_precision
from resgan.base.rng import make_generator
from resgan.options.choices import NormMode

CHUNK = 64  # samples that go through the generator together, always: kernels, and so last bits, depend on the count
RECOMPUTED_FROM = 100  # batches of CHUNK
TORCH_SEEDS = 2**32  # torch's generator on the CPU looks at the last 32 bits of its seed and at no other


def latents(seeds: Sequence[int], *, dim: int, truncation: float | None = None) -> Tensor:
    """Standard normal latents (len(seeds), dim), each from a generator of its own, float32.

    Seeds are 0 and up, of any size: from 2^32 on another generator takes over, one that looks at every bit.
    truncation: each number is drawn from the normal cut off at +-truncation (Brock et al. 2019, section 3.1).
    """
    rows = [(latent if seed < TORCH_SEEDS else latent_of_large_seed)(seed, dim, truncation) for seed in seeds]
    return torch.stack(rows) if rows else torch.empty(0, dim)


def latent(seed: int, dim: int, truncation: float | None) -> Tensor:
    """(dim,)."""
    generator = torch.Generator().manual_seed(seed)
    if truncation is None:
        return torch.randn(dim, generator=generator)
    return nn.init.trunc_normal_(torch.empty(dim), a=-truncation, b=truncation, generator=generator)


def latent_of_large_seed(seed: int, dim: int, truncation: float | None) -> Tensor:
    """(dim,), decided by every bit of the seed."""
    generator = np.random.Generator(np.random.PCG64(seed))
    if truncation is None:
        return torch.from_numpy(generator.standard_normal(dim, dtype=np.float32))
    low, high = torch.special.ndtr(torch.tensor([-truncation, truncation], dtype=torch.float64))
    quantiles = low + (high - low) * torch.from_numpy(generator.random(dim))
    return torch.special.ndtri(quantiles).clamp(-truncation, truncation).float()


def labels(seeds: Sequence[int], *, shares: Sequence[float]) -> Tensor:
    """A class for each seed (len(seeds),), as often as `shares` say; seed and shares alone decide it."""
    draws = [torch.rand((), generator=make_generator("class", seed)) for seed in seeds]
    return classes_at(torch.stack(draws) if draws else torch.empty(0), shares)


def classes_at(places: Tensor, shares: Sequence[float]) -> Tensor:
    """The class (N,) in whose share each place (N,) from 0 to 1 lies."""
    ends = torch.tensor(shares).cumsum(0)
    return torch.searchsorted(ends, places, right=True).clamp_max(len(shares) - 1)


def slerp(start: Tensor, end: Tensor, *, steps: int) -> Tensor:
    """`steps` latents (steps, dim) from `start` towards `end`, both (dim,), along the great circle; `end` is left out.

    slerp(t) = (sin((1 - t) w) a + sin(t w) b) / sin w, with w the angle between a and b (Shoemake 1985).
    """
    angle = torch.arccos((start @ end / (start.norm() * end.norm())).clamp(-1, 1))
    t = torch.arange(steps).view(-1, 1) / steps
    if angle.sin() < 1e-6:
        return (1 - t) * start + t * end
    return (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)


# What a generator's batch norms take for mean and variance when it samples. Other norms know no such thing.


def norm_mode_in_words(mode: NormMode) -> str:
    """For a score's card."""
    return {
        "running": "running statistics",
        "batch": f"batches of {CHUNK}",
        "recomputed": f"recomputed from {RECOMPUTED_FROM * CHUNK} latents",
    }[mode]


def with_norm_mode(generator: nn.Module, mode: NormMode, *, dim: int, shares: Sequence[float] = ()) -> nn.Module:
    """The generator as it is (running), or a copy whose batch norms take another mean and variance.

    batch       those of the batch at hand: a sample depends on the others beside it
    recomputed  the averages over fresh latents (dim,), and classes by their shares: what averaged weights lack, whose
                running statistics are those of other weights
    """
    if mode == "running":
        return generator
    changed = copy.deepcopy(generator).eval()
    norms = [module for module in changed.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if mode == "batch":
        for norm in norms:
            norm.running_mean = norm.running_var = None
        return changed
    for norm in norms:  # these alone: spectral norms would go on turning their vectors
        norm.reset_running_stats()
        norm.momentum = None  # an average over all batches
        norm.train()
    device, random = next(changed.parameters()).device, make_generator(0, "norms")
    with torch.no_grad(), full_precision(device.type):
        for _ in range(RECOMPUTED_FROM if norms else 0):
            z = torch.randn(CHUNK, dim, generator=random)
            labels = [classes_at(torch.rand(CHUNK, generator=random), shares).to(device)] if shares else []
            changed(z.to(device), *labels)
    return changed.eval()


@torch.no_grad()
def generate(
    generator: nn.Module,
    z: Tensor,  # latents (N, latent_dim)
    labels: Tensor | None = None,  # (N,), where the generator is class-conditional
    *,
    on_batch: Callable[[], None] | None = None,  # called after each chunk
) -> Tensor:
    """Samples on the CPU, computed in float32 without TF32: (N, C, H, W) in [-1, 1], or (N, 2)."""
    device = next(generator.parameters()).device
    was_training = generator.training
    generator.eval()
    try:
        chunks = []
        for index in torch.arange(len(z)).split(CHUNK):
            missing = torch.arange(CHUNK - len(index)) % len(z)
            padded = torch.cat([index, missing])  # with latents, since a batch norm may look at them
            given = [] if labels is None else [labels[padded].to(device)]
            with full_precision(device.type):
                chunks.append(generator(z[padded].to(device), *given)[: len(index)].float().cpu())
            if on_batch is not None:
                on_batch()
        return torch.cat(chunks)
    finally:
        generator.train(was_training)
