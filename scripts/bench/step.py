"""Compare a training step with the simplest loop over the same networks: python scripts/bench/step.py

The plain loop is a first attempt: it builds G's graph in D's step, takes gradients of D's weights in G's step, and
computes resampling and convolutions one after the other, in torch's default memory format, with Adam's plain loop.
It is compared with `GAN.training_step` with the defaults of trainer=auto, and the same in bf16-mixed. One D step and
one G step of 64 images of 32 x 32, hinge loss, no penalty, an average of G's weights in both.

Variants run in turns in one process, with each step timed; medians. First, both run 5 float32 steps from the same
state, and their losses are compared. Run it alone on the machine.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn.functional import relu

from resgan.builders.gan import build_gan
from resgan.builders.networks import spec_of
from resgan.data.dataset import Dataset
from resgan.nets import layers
from resgan.options.conf import CONF
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.training.gan import GAN

BATCH = 64
LAB = ["generator=lab", "disc=lab", "generator.width=64", "disc.width=64", "generator.blocks=2", "disc.blocks=2"]
NETWORKS = {
    "sngan 64/64": ["generator=sngan", "disc=sngan", "generator.width=64", "disc.width=64"],
    "sngan 256/128": ["generator=sngan", "disc=sngan"],
    "lab residual": LAB,
    "lab plain": [*LAB, "generator.residual=false", "disc.residual=false"],
}


def options(*overrides: str) -> TrainOptions:
    common = ["loss=hinge", "loss.r1=0", "loss.r2=0", f"batch_size={BATCH}", "generator.decay=none", "disc.decay=none"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        values = OmegaConf.to_container(compose("train", [*common, "disc.steps=1", *overrides]), resolve=True)
    return check(TrainOptions, values)  # type: ignore[arg-type]


def pictures() -> Dataset:
    images = torch.randint(0, 256, (BATCH, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Dataset(name="random", train=images, holdout=images[:0], reference=images, split="train")


def make(*overrides: str) -> GAN:
    dataset, given = pictures(), options(*overrides)
    return build_gan(given, spec_of(given, dataset), dataset)


# The plain loop.


@dataclass
class Plain:
    """A plain loop over the same networks, with the same weights and latents."""

    gan: GAN  # only for its networks and latents
    generator_adam: torch.optim.Adam
    disc_adam: torch.optim.Adam

    @staticmethod
    def of(gan: GAN) -> "Plain":
        for net in (gan.generator, gan.disc, gan.generator_ema):
            net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            layers.fuse(net, False)
        return Plain(
            gan,
            *(plain_adam(net, adam) for net, adam in ((gan.generator, gan.generator_adam), (gan.disc, gan.disc_adam))),
        )

    def step(self, real: Tensor) -> dict[str, Tensor]:
        gan = self.gan
        fake = gan.generator(gan.latents("disc", len(real)))
        loss_d = relu(1 - gan.disc(real)).mean() + relu(1 + gan.disc(fake.detach())).mean()
        self.disc_adam.zero_grad()
        loss_d.backward()
        self.disc_adam.step()

        loss_g = -gan.disc(gan.generator(gan.latents("generator", len(real)))).mean()
        self.generator_adam.zero_grad()
        loss_g.backward()
        self.generator_adam.step()

        gan.update_average()
        gan.images_seen += len(real)
        return {"loss_d": loss_d.detach(), "loss_g": loss_g.detach()}


def plain_adam(net: nn.Module, adam: Any) -> torch.optim.Adam:
    return torch.optim.Adam(net.parameters(), lr=adam.lr, betas=adam.betas, foreach=False)


# The step of resgan.


def ours(gan: GAN, real: Tensor, *, bf16: bool = False) -> dict[str, Tensor]:
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        gan.training_step(real, 0)
    return gan.losses


# Measuring.


def largest_difference(overrides: list[str], steps: int) -> float:
    """Compare the losses of D and G in the first float32 steps; later ones differ more, as Adam amplifies rounding."""
    plain, gan = Plain.of(make(*overrides)), make(*overrides)
    real = real_batch()
    found = 0.0
    for _ in range(steps):
        a, b = plain.step(real), ours(gan, real.contiguous(memory_format=torch.channels_last))
        found = max(found, *(abs(float(a[name]) - float(b[name])) for name in a))
    return found


def real_batch() -> Tensor:
    return pictures().train.float() / 127.5 - 1


def measure(overrides: list[str], *, rounds: int, steps: int, bf16: bool) -> dict[str, float]:
    """Return the median seconds per step of each variant."""
    plain, gan, in_bf16 = Plain.of(make(*overrides)), make(*overrides), make(*overrides)
    real = real_batch()
    last = real.contiguous(memory_format=torch.channels_last)
    variants: dict[str, Callable[[], Any]] = {
        "plain": lambda: plain.step(real),
        "float32": lambda: ours(gan, last),
    }
    if bf16:
        variants["bf16"] = lambda: ours(in_bf16, last, bf16=True)
    times: dict[str, list[float]] = {name: [] for name in variants}
    for run in variants.values():  # the first steps allocate
        run(), run()
    for k in range(rounds):
        for name in list(variants)[:: 1 if k % 2 else -1]:
            for _ in range(steps):
                start = time.perf_counter()
                variants[name]()
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="of each variant in a round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--bf16", action="store_true", help="also in bf16-mixed, where the processor knows bfloat16")
    parser.add_argument("--only", choices=NETWORKS, action="append", help="these networks; all where left out")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    results = {}
    for name in given.only or NETWORKS:
        seconds = measure(NETWORKS[name], rounds=given.rounds, steps=given.steps, bf16=given.bf16)
        ratios = {variant: seconds["plain"] / value for variant, value in seconds.items() if variant != "plain"}
        differ = largest_difference(NETWORKS[name], steps=5)
        results[name] = {"seconds": seconds, "ratios": ratios, "losses_differ": differ}
        shown = ", ".join(f"{variant} {1000 * value:.0f} ms" for variant, value in seconds.items())
        said = ", ".join(f"{variant} {value:.2f}" for variant, value in ratios.items())
        print(f"{name}: {shown}; times the plain loop: {said}; losses differ by {differ:.0e}", flush=True)
    print(json.dumps({"threads": given.threads, "torch": torch.__version__, "networks": results}))


if __name__ == "__main__":
    main()
