"""From seeds to latents to samples: sample i depends on its seed and on nothing else."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

CHUNK = 64  # samples that go through the generator together, always: kernels, and so last bits, depend on the count


def latents(seeds: Sequence[int], *, dim: int, truncation: float | None = None) -> Tensor:
    """Standard normal latents (len(seeds), dim), each from a generator of its own.

    truncation: each number is drawn from the normal cut off at +-truncation (Brock et al. 2019, section 3.1).
    """
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        if truncation is None:
            rows.append(torch.randn(dim, generator=generator))
        else:
            row = torch.empty(dim)
            rows.append(nn.init.trunc_normal_(row, a=-truncation, b=truncation, generator=generator))
    return torch.stack(rows) if rows else torch.empty(0, dim)


def slerp(start: Tensor, end: Tensor, *, steps: int) -> Tensor:
    """`steps` latents (steps, dim) from `start` towards `end`, both (dim,), along the great circle; `end` is left out.

    slerp(t) = (sin((1 - t) w) a + sin(t w) b) / sin w, with w the angle between a and b (Shoemake 1985).
    """
    angle = torch.arccos((start @ end / (start.norm() * end.norm())).clamp(-1, 1))
    t = torch.arange(steps).view(-1, 1) / steps
    if angle.sin() < 1e-6:
        return (1 - t) * start + t * end
    return (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)


@torch.no_grad()
def generate(generator: nn.Module, z: Tensor, *, between: Callable[[], None] | None = None) -> Tensor:
    """Samples on the CPU, float32: (N, C, H, W) in [-1, 1], or (N, 2). `between` is called after each chunk."""
    device = next(generator.parameters()).device
    was_training = generator.training
    generator.eval()
    try:
        chunks = []
        for chunk in z.split(CHUNK):
            padded = torch.cat([chunk, chunk.new_zeros(CHUNK - len(chunk), z.shape[1])])
            chunks.append(generator(padded.to(device))[: len(chunk)].float().cpu())
            if between is not None:
                between()
        return torch.cat(chunks)
    finally:
        generator.train(was_training)
