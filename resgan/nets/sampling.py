"""Latents from seeds, and samples from latents: sample i depends on its own seed alone."""

import copy
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from resgan.base.device import full_precision
from resgan.base.errors import OptionsError
from resgan.base.processes import ALONE
from resgan.base.rng import make_generator
from resgan.nets.layers import synchronise_norms
from resgan.options.choices import NormMode

CHUNK = 64  # samples in every forward pass: kernels, and so the last bits, depend on the batch size
RECOMPUTED_FROM = 100  # batches of CHUNK
TORCH_SEEDS = 2**32  # torch's CPU generator uses only the low 32 bits of its seed


def latents(seeds: Sequence[int], *, dim: int, truncation: float | None = None) -> Tensor:
    """Draw standard normal latents (len(seeds), dim), float32, each from its own generator.

    Seeds are 0 or more, of any size; from 2^32 on they go to another generator, which uses every bit.
    truncation: each number is drawn from a normal truncated at +-truncation (Brock et al. 2019, section 3.1).
    Raises OptionsError for a negative seed, which torch would take for another one.
    """
    check_seeds(seeds)
    rows = [(latent if seed < TORCH_SEEDS else latent_of_large_seed)(seed, dim, truncation) for seed in seeds]
    return torch.stack(rows) if rows else torch.empty(0, dim)


def check_seeds(seeds: Sequence[int]) -> None:
    if negative := [seed for seed in seeds if seed < 0]:
        raise OptionsError(f"seeds={negative[0]}: expected whole numbers of 0 or more")


def latent(seed: int, dim: int, truncation: float | None) -> Tensor:
    """Draw one latent (dim,)."""
    generator = torch.Generator().manual_seed(seed)
    if truncation is None:
        return torch.randn(dim, generator=generator)
    return nn.init.trunc_normal_(torch.empty(dim), a=-truncation, b=truncation, generator=generator)


def latent_of_large_seed(seed: int, dim: int, truncation: float | None) -> Tensor:
    """Draw one latent (dim,), which depends on every bit of the seed."""
    generator = np.random.Generator(np.random.PCG64(seed))
    if truncation is None:
        return torch.from_numpy(generator.standard_normal(dim, dtype=np.float32))
    low, high = torch.special.ndtr(torch.tensor([-truncation, truncation], dtype=torch.float64))
    quantiles = low + (high - low) * torch.from_numpy(generator.random(dim))
    return torch.special.ndtri(quantiles).clamp(-truncation, truncation).float()


def labels(seeds: Sequence[int], *, shares: Sequence[float]) -> Tensor:
    """Draw a class for each seed (len(seeds),) with probabilities `shares`, by the seed and `shares` alone.

    Raises OptionsError for a negative seed.
    """
    check_seeds(seeds)
    draws = [torch.rand((), generator=make_generator("class", seed)) for seed in seeds]
    return classes_at(torch.stack(draws) if draws else torch.empty(0), shares)


def classes_at(places: Tensor, shares: Sequence[float]) -> Tensor:
    """Return the class (N,) into whose share of [0, 1] each place (N,) falls."""
    ends = torch.tensor(shares).cumsum(0)
    return torch.searchsorted(ends, places, right=True).clamp_max(len(shares) - 1)


def slerp(start: Tensor, end: Tensor, *, steps: int) -> Tensor:
    """Interpolate from `start` to `end`, both (dim,), along the great circle: (steps, dim), without `end` itself.

    slerp(t) = (sin((1 - t) w) a + sin(t w) b) / sin w, with w the angle between a and b (Shoemake 1985).
    """
    angle = torch.arccos((start @ end / (start.norm() * end.norm())).clamp(-1, 1))
    t = torch.arange(steps).view(-1, 1) / steps
    if angle.sin() < 1e-6:
        return (1 - t) * start + t * end
    return (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)


def walk(z: Tensor, *, steps: int, loop: bool) -> Tensor:
    """Interpolate through latents (N, dim), in the order of `places`: (places, dim)."""
    legs = [slerp(start, end, steps=steps) for start, end in itertools.pairwise(torch.cat([z, z[:1]]) if loop else z)]
    return torch.cat(legs if loop else [*legs, z[-1:]])


def places(count: int, *, steps: int, loop: bool) -> list[tuple[int, int, int]]:
    """List the places of a walk through `count` latents: (from, to, step).

    It ends at the last of them, (count - 1, count - 1, 0), or with a loop one step before the first.
    """
    ends = [*range(count), *([0] if loop else [])]
    legs = [(start, end, step) for start, end in itertools.pairwise(ends) for step in range(steps)]
    return legs if loop else [*legs, (count - 1, count - 1, 0)]


# The mean and variance that a generator's batch norms use when it samples. Other norms have no such choice.


def norm_mode_in_words(mode: NormMode) -> str:
    """Describe a norm mode for the card of a score."""
    return {
        "running": "running statistics",
        "batch": f"batches of {CHUNK}",
        "recomputed": f"recomputed from {RECOMPUTED_FROM * CHUNK} latents",
    }[mode]


def with_norm_mode(generator: nn.Module, mode: NormMode, *, dim: int, shares: Sequence[float] = ()) -> nn.Module:
    """Return the generator itself (running), or a copy whose batch norms use another mean and variance.

    batch       those of the current batch: a sample depends on the others in it
    recomputed  averages over fresh latents (dim,), with classes by their shares: for averaged weights, whose running
                statistics belong to other weights
    """
    if mode == "running":
        return generator
    changed = copy.deepcopy(generator).eval()
    synchronise_norms(changed, ALONE)  # every process draws the same latents here
    norms = [module for module in changed.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if mode == "batch":
        for norm in norms:
            norm.running_mean = norm.running_var = None
        return changed
    for norm in norms:  # only these: in train mode, spectral norms would continue their power iteration
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
    on_batch: Callable[[], object] | None = None,  # called after each chunk
) -> Tensor:
    """Generate samples in float32 without TF32; returns (N, C, H, W) in [-1, 1], or (N, 2), on the CPU."""
    device = next(generator.parameters()).device
    was_training = generator.training
    generator.eval()
    try:
        chunks = []
        for index in torch.arange(len(z)).split(CHUNK):
            missing = torch.arange(CHUNK - len(index)) % len(z)
            padded = torch.cat([index, missing])  # with latents, since they may enter the statistics of batch norms
            given = [] if labels is None else [labels[padded].to(device)]
            with full_precision(device.type):
                chunks.append(generator(z[padded].to(device), *given)[: len(index)].float().cpu())
            if on_batch is not None:
                on_batch()
        return torch.cat(chunks)
    finally:
        generator.train(was_training)
