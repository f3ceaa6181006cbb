"""A generator and a discriminator of your own in resgan's trainer, sweeps, studies, scores and samples.

python -m resgan.train generator=module generator.path=examples/your_own_network.py:Generator \
    generator.kwargs.width=64 disc=module disc.path=examples/your_own_network.py:Discriminator
python examples/your_own_network.py [KIMG]        # the same from Python
"""

import sys

from torch import Tensor, nn

import resgan


class Generator(nn.Module):
    latent_dim = 24  # counts more than generator.latent_dim

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(self.latent_dim, width * 16), nn.Unflatten(1, (width, 4, 4)),
            nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1), nn.SiLU(),
            nn.Upsample(scale_factor=2), nn.Conv2d(width, 3, 3, padding=1),
        )  # fmt: skip

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)  # (N, 3, 16, 16), about in [-1, 1]


class Discriminator(nn.Module):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=2, padding=1), nn.SiLU(),
            nn.Conv2d(width, width, 4, stride=2, padding=1), nn.SiLU(),
            nn.Flatten(), nn.Linear(16 * width, 1), nn.Flatten(0),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)  # one logit each, (N,)


def main() -> None:
    words = [f"generator.path={__file__}:Generator", "generator.kwargs.width=16", f"disc.path={__file__}:Discriminator"]
    kimg = sys.argv[1] if len(sys.argv) > 1 else "100"
    words += [f"total_kimg={kimg}", "metrics=exact", f"metrics.samples={500 if float(kimg) < 10 else 10_000}"]
    result = resgan.fit(resgan.configure("generator=module", "disc=module", *words, "wandb=disabled"))
    print({name: result.scores[name] for name in ("tv", "distance")})
    gan = resgan.load_gan(result.checkpoint, generator=Generator)  # a checkpoint never runs code: give the class again
    print(tuple(gan.sample(range(4)).shape))


if __name__ == "__main__":
    main()
