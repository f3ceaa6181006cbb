"""Measure the peak memory of training and of a large evaluation: python scripts/bench/memory.py

Each runs in a separate process, so that the peak of resident memory is its own: 3 steps of the lab networks, or
scoring 50,000 samples by cifarnet, on random 32 x 32 images. The first line is the memory of the imports.
"""

import argparse
import json
import resource
import subprocess
import sys

WIDE = ["generator.width=64", "disc.width=64", "generator.blocks=2", "disc.blocks=2"]
CASES = {
    "imports alone": ("nothing", []),
    "training, batch 16": ("train", ["batch_size=16"]),
    "training, batch 64": ("train", ["batch_size=64"]),
    "training, batch 64, R1 and R2 at every step": (
        "train", ["batch_size=64", "loss.r1_interval=1", "loss.r2_interval=1"]
    ),
    "training, batch 64, no penalty": ("train", ["batch_size=64", "loss.r1=0", "loss.r2=0"]),
    "training, batch 64, not fused": ("train", ["batch_size=64", "trainer.fused=false"]),
    "training, batch 64, not channels_last": ("train", ["batch_size=64", "trainer.channels_last=false"]),
    "training, batch 16, 4 seeds as one": ("train 4", ["batch_size=16"]),
    "scoring 50,000 samples by cifarnet": ("score", ["generator.width=8"]),
}  # fmt: skip


def play(what: str, overrides: list[str]) -> None:
    import torch
    from scaling import CONF, OmegaConf, TrainOptions, check, compose, initialize_config_dir

    from resgan.base.images import as_uint8
    from resgan.builders.gan import build_gan, build_stack
    from resgan.builders.networks import spec_of
    from resgan.data.dataset import Dataset
    from resgan.metrics.extractors import load_extractor
    from resgan.metrics.features import extract
    from resgan.nets import sampling

    if what == "nothing":
        return
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides if what == "score" else [*WIDE, *overrides])
    given = check(TrainOptions, OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
    images = torch.randint(0, 256, (given.batch_size, 3, 32, 32), dtype=torch.uint8)
    data = Dataset(name="random", train=images, holdout=images[:0], reference=images, split="train")
    gan = build_gan(given, spec_of(given, data), data)
    if what == "score":
        samples = sampling.generate(gan.generator_ema, torch.randn(50_000, given.generator.latent_dim))
        extract(load_extractor("cifarnet", weights=None, clean=False), as_uint8(samples))
        return
    real = (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
    if what != "train":
        count = int(what.split()[1])
        gan, real = build_stack([given] * count, [gan] * count), torch.stack([real] * count)
    for step in range(3):
        gan.training_step(real, step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        play(*CASES[given.case])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    found = {}
    for name in CASES:
        shown = subprocess.run([sys.executable, __file__, "--case", name], capture_output=True, text=True, check=True)
        found[name] = int(shown.stdout.split()[-1]) / 2**10
        print(f"{name:<48}{found[name]:8.0f} MiB", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
