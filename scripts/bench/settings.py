"""Compare runs of many settings as one with the same runs alone, in CPU seconds: python scripts/bench/settings.py

Perceptrons of width 32 on data=gaussians, batch 64. The members of the mixed stack are all arms x inits x learning
rates x penalties; the members of the other stack are seeds of one arm. One thread, one process, in turns, medians.
"""

import argparse
import itertools
import json
import statistics
import time

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from resgan.builders.data import build_dataset
from resgan.builders.gan import build_gan, build_stack
from resgan.builders.networks import spec_of
from resgan.options.conf import CONF
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.training.gan import GAN

SETTINGS = {
    "generator.residual": (True, False),
    "disc.residual": (True, False),
    "generator.init": ("he", "orthogonal"),
    "disc.lr": (1e-3, 2e-3),
    "loss.r1": (0.01, 0.03),
}  # 32 members


def base(blocks: int) -> TrainOptions:
    given = ["data=gaussians", "batch_size=64"]
    given += [f"{network}.{name}" for network in ("generator", "disc") for name in ("width=32", f"blocks={blocks}")]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(TrainOptions, OmegaConf.to_container(compose("train", given), resolve=True))  # type: ignore[arg-type]


def stack_of(members: list[TrainOptions]) -> GAN:
    gans = []
    for one in members:
        dataset = build_dataset(one.data, seed=one.seed, progress=False)
        gans.append(build_gan(one, spec_of(one, dataset), dataset))
    return gans[0] if len(gans) == 1 else build_stack(members, gans)


def cpu_seconds_of_step(gan: GAN, points: torch.Tensor, steps: int) -> float:
    start = time.process_time()
    for step in range(steps):
        gan.training_step(points, step)
    return (time.process_time() - start) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=16, help="in a round; penalties come every eighth")
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for blocks in (1, 4, 16):
        one = base(blocks)
        mixed = [one.with_values(dict(zip(SETTINGS, v, strict=True))) for v in itertools.product(*SETTINGS.values())]
        seeds = [one.with_values({"seed": seed}) for seed in range(len(mixed))]
        gans = {"alone": stack_of([one]), "seeds": stack_of(seeds), "mixed": stack_of(mixed)}
        points = torch.randn(len(mixed), 64, 2, generator=torch.Generator().manual_seed(0))
        found: dict[str, list[float]] = {name: [] for name in gans}
        for _ in range(given.rounds + 1):
            for name, gan in gans.items():
                real = points[0] if name == "alone" else points
                found[name].append(cpu_seconds_of_step(gan, real, given.steps))
        median = {name: statistics.median(values[1:]) for name, values in found.items()}  # the first turns allocate
        each = {name: 1000 * found / (1 if name == "alone" else len(mixed)) for name, found in median.items()}
        results[blocks] = each
        told = ", ".join(f"{each['alone'] / each[name]:.1f} for {name}" for name in ("seeds", "mixed"))
        print(
            f"{blocks} blocks: alone {each['alone']:.2f} CPU ms a step; {len(mixed)} as one, ms a member and step: "
            f"seeds {each['seeds']:.2f}, mixed {each['mixed']:.2f}; times as many steps: {told}",
            flush=True,
        )
    print(json.dumps({"cpu_ms_a_member_and_step": results}))


if __name__ == "__main__":
    main()
