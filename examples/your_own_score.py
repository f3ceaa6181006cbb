"""A score of your own in resgan's training, tables and reports: how much of the image is ink?

python -m resgan.train metrics.own=examples/your_own_score.py:Ink
python examples/your_own_score.py        # the same from Python, on a short run
"""

import torch
from torch import Tensor

import resgan


class Ink(resgan.Score):
    """Share of pixels that are far from the grey ground, and its ratio to that of real images."""

    def __init__(self, real: Tensor) -> None:
        super().__init__()
        self.real = share_of_ink(real.float() / 127.5 - 1).mean()  # uint8 images (M, C, H, W)
        self.add_state("total", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum")

    @property
    def readings(self) -> dict[str, resgan.Reading]:
        return {
            "ink": resgan.Reading("none", "share", meaning="share of pixels far from the ground"),
            "ink_ratio": resgan.Reading("none", meaning="the same over that of real images; 1 is right"),
        }

    def update(self, samples: Tensor) -> None:
        self.total = self.total + share_of_ink(samples).sum()
        self.count = self.count + len(samples)

    def compute(self) -> dict[str, Tensor]:
        ink = self.total / self.count
        return {"ink": ink, "ink_ratio": ink / self.real}

    def ideal_scores(self) -> dict[str, float]:
        return {"ink": float(self.real), "ink_ratio": 1.0}


def share_of_ink(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] to shares (N,)."""
    return (images.abs().amax(1) > 0.5).float().mean((1, 2))


def main() -> None:
    options = resgan.configure(
        f"metrics.own={__file__}:Ink", "metrics=exact", "metrics.samples=200", "total_kimg=0.5", "score_kimg=0"
    )
    result = resgan.fit(options)
    print({name: result.scores[name] for name in ("tv", "ink", "ink_ratio")})


if __name__ == "__main__":
    main()
