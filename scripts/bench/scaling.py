"""Measure how the cost of a step grows: python scripts/bench/scaling.py --plot docs/images/scaling.png

Width, blocks, resolution, batch and seeds trained as one are varied one at a time, around the lab networks of width 32
with one block per stage, 32 x 32, batch 16. The exponent is the slope of a least-squares line through the logarithms of
the upper half of the sizes, since all small sizes cost the same. Run it alone on the machine.
"""

import argparse
import json
import math
import statistics
import time
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from resgan.builders.gan import build_gan, build_stack
from resgan.builders.networks import spec_of
from resgan.data.dataset import Dataset
from resgan.options.conf import CONF
from resgan.options.train import TrainOptions
from resgan.options.validation import check

USUAL = {"width": 32, "blocks": 1, "size": 32, "batch": 16, "seeds": 1}
SWEEPS = {
    "width": [8, 16, 32, 64, 128],
    "blocks": [1, 2, 4, 8],
    "size": [8, 16, 32, 64],
    "batch": [4, 8, 16, 32, 64],
    "seeds": [1, 2, 4, 8, 16],
}
LABELS = {"size": "pixels a side", "seeds": "seeds as one", "blocks": "blocks a stage"}


def seconds_of_step(*, width: int, blocks: int, size: int, batch: int, seeds: int, rounds: int) -> float:
    overrides = [f"{net}.{key}={value}" for net in ("generator", "disc") for key, value in
                 (("width", width), ("blocks", blocks))]  # fmt: skip
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", [*overrides, f"batch_size={batch}", "loss.r1=0", "loss.r2=0"])
    given = check(TrainOptions, OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
    images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    data = Dataset(name="random", train=images, holdout=images[:0], reference=images, split="train")
    gan = build_gan(given, spec_of(given, data), data)
    real = (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
    if seeds > 1:
        gan, real = build_stack([given] * seeds, [gan] * seeds), torch.stack([real] * seeds)
    gan.training_step(real, 0)
    times = []
    for step in range(rounds):
        start = time.perf_counter()
        gan.training_step(real, step)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def exponent(xs: list[int], ys: list[float]) -> float:
    x, y = ([math.log(v) for v in values[len(values) // 2 :]] for values in (xs, ys))
    return statistics.linear_regression(x, y).slope


def plot(found: dict[str, tuple[list[int], list[float], float]], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(found), figsize=(3 * len(found), 3), sharey=True)
    for axis, (name, (xs, ys, slope)) in zip(axes, found.items(), strict=True):
        axis.loglog(xs, ys, "o-")
        last = [xs[len(xs) // 2], xs[-1]]
        axis.loglog(last, [ys[-1] * (x / xs[-1]) ** slope for x in last], "k--", linewidth=1)
        axis.set(xlabel=LABELS.get(name, name), title=f"cost ~ {name}^{slope:.2f}", xticks=xs, xticklabels=xs)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("seconds a step")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--plot", type=Path, help="where to draw it")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    found = {}
    for name, xs in SWEEPS.items():
        ys = [seconds_of_step(**(USUAL | {name: x}), rounds=given.rounds) for x in xs]
        found[name] = (xs, ys, exponent(xs, ys))
        told = ", ".join(f"{x}: {1000 * y:.0f} ms" for x, y in zip(xs, ys, strict=True))
        print(f"{name}: {told}; exponent {found[name][2]:.2f}", flush=True)
    if given.plot:
        plot(found, given.plot)
    print(json.dumps({"threads": given.threads, "torch": torch.__version__, "found": found}))


if __name__ == "__main__":
    main()
